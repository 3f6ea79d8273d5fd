use super::*;
use crate::cluster::queue::rows;
use crate::cluster::status::{Said, Standing, Status};

fn asked() -> Asked {
    Asked {
        items: vec!["table-1".to_owned()],
        profile: "smoke".to_owned(),
        rows: Some("mnist/cnn2/l2".to_owned()),
        beyond: false,
        seeds: None,
        reading: None,
        attack_images: BTreeMap::new(),
        device: "cpu".to_owned(),
        precision: "f32".to_owned(),
        repeatable: false,
        data_dir: None,
    }
}

struct Given {
    out: tempfile::TempDir,
    asked: Asked,
    plan: Plan,
    cluster: Cluster,
    program: Program,
}

impl Given {
    fn new() -> Self {
        let asked = asked();
        let plan = asked.plan(None).unwrap();
        let cluster = Cluster { task_minutes: Some(1.0), ..Cluster::default() };
        let program = Program { path: "bin/xtask".into(), sha256: "0".repeat(64), commit: String::new() };
        Self { out: tempfile::tempdir().unwrap(), asked, plan, cluster, program }
    }

    fn folder(&self) -> Folder {
        Folder::of(self.out.path(), &self.asked, &self.plan).unwrap()
    }

    /// The next submission, of the cells that `wanted` names: a minute of both cores for each network, a second for the others.
    fn submit(&self, live: &HashMap<Key, String>, wanted: impl Fn(usize) -> bool) -> Draft {
        let seconds = |index: usize| if self.plan.cells[index].kind() == Kind::Network { 120.0 } else { 2.0 };
        let seconds =
            (0..self.plan.cells.len()).filter(|&index| wanted(index)).map(|i| (i, seconds(i))).collect();
        let parts = Parts {
            asked: &self.asked,
            plan: &self.plan,
            seconds: &seconds,
            live,
            cluster: &self.cluster,
            program: &self.program,
            batch: 256,
            max_tasks: 1000,
        };
        let draft = Draft::new(&self.folder(), &parts).unwrap();
        draft.write().unwrap();
        draft
    }

    fn networks(&self) -> usize {
        self.plan.cells.iter().filter(|cell| cell.kind() == Kind::Network).count()
    }
}

fn queue(text: &str) -> Said {
    Said { queue: Some(rows(text)), ..Said::default() }
}

#[test]
fn what_is_written_is_read_back_and_has_every_cell_once() {
    let given = Given::new();
    let draft = given.submit(&HashMap::new(), |_| true);
    let found = Folder::find(given.out.path(), None).unwrap();
    assert_eq!(found, given.folder());
    assert_eq!(found.asked().unwrap(), given.asked);
    let submission = Folder::submission(&draft.submission.path()).unwrap();
    let facts = submission.facts().unwrap();
    assert_eq!(facts.program, given.program);
    let lines = submission.lines().unwrap();
    assert_eq!(lines.len(), given.plan.cells.len());
    let mut seen = BTreeSet::new();
    for array in &facts.arrays {
        assert!(submission.path().join(format!("{}.sbatch", array.name)).is_file());
        for task in 0..array.tasks {
            for (item, key) in submission.task(&array.name, task).unwrap() {
                let line = lines.iter().find(|line| line.key == key).unwrap();
                assert_eq!((&line.task, &line.item), (&Some((array.name.clone(), task)), &item));
                assert!(seen.insert(key));
            }
        }
        assert!(submission.task(&array.name, array.tasks).is_err());
    }
    assert_eq!(seen.len(), given.plan.cells.len());
    let [networks, evaluations] = &facts.arrays[..] else { panic!("{:?}", facts.arrays) };
    assert_eq!(
        (networks.tasks, evaluations.needs.as_slice()),
        (given.networks(), &[networks.name.clone()][..])
    );
    // The same request is the same plan; another one is not.
    let other = Asked { seeds: Some(vec![7]), ..given.asked.clone() };
    let plan = other.plan(None).unwrap();
    assert_ne!(Folder::of(given.out.path(), &other, &plan).unwrap(), given.folder());
}

#[test]
fn a_folder_that_is_none_is_named() {
    let given = Given::new();
    let error = Folder::find(given.out.path(), None).unwrap_err();
    assert!(error.to_string().contains("no submitted plan"), "{error}");
    let error = Folder::submission(&given.out.path().join("slurm/0123/1")).unwrap_err();
    assert!(error.to_string().contains("does this node see"), "{error}");
    let error = Folder::submission(given.out.path()).unwrap_err();
    assert!(error.to_string().contains("OUT/slurm/PLAN/NUMBER"), "{error}");
}

#[test]
fn a_status_is_from_records_first_and_then_from_the_queue() {
    let given = Given::new();
    let draft = given.submit(&HashMap::new(), |_| true);
    let [networks, evaluations] = &draft.facts.arrays[..] else { panic!("{:?}", draft.facts.arrays) };
    draft.submission.handed_over(&networks.name, "12").unwrap();
    let of = |said: &Said| Status::new(&given.folder(), said).unwrap();
    let store = Store::new(given.out.path());
    store.clone().open_shared(0).unwrap();
    // The first has its record, whatever Slurm says; the second runs, the third waits, the fourth has failed.
    let key = |task: usize| draft.submission.task(&networks.name, task).unwrap()[0].1.clone();
    fs::write(store.record_path(Kind::Network, &key(0)), "").unwrap();
    fs::create_dir(given.out.path().join("failures")).unwrap();
    fs::write(given.out.path().join("failures").join(key(3).as_str()), "diverged (n1)\n").unwrap();
    let said = queue(
        "13|12|0|RUNNING|None|n1|1:00|9:00\n14|12|1|RUNNING|None|n2|1:00|9:00\n15|12|2|PENDING|Resources||0:00|10:00\n\
         99|98|0|RUNNING|None|n2|1:00|9:00\n",
    );
    let status = of(&said);
    let standing = |key: &Key| &status.cells.iter().find(|(line, _)| line.key == *key).unwrap().1;
    assert_eq!(standing(&key(0)), &Standing::Done);
    assert_eq!(standing(&key(1)), &Standing::Running);
    assert_eq!(standing(&key(2)), &Standing::Queued);
    assert_eq!(standing(&key(3)), &Standing::Failed("diverged (n1)".to_owned()));
    assert!(matches!(standing(&key(4)), Standing::Lost(why) if why.contains("12_4 is not in the queue")));
    let evaluation = draft.submission.task(&evaluations.name, 0).unwrap()[0].1.clone();
    assert!(matches!(standing(&evaluation), Standing::Lost(why) if why.contains("never handed over")));
    assert_eq!(status.live, HashMap::from([(key(1), "12".to_owned()), (key(2), "12".to_owned())]));
    assert!(!status.is_over() && status.seconds_left.is_some());
    assert_eq!(status.tasks.len(), 3);
    // Nobody answers: nothing is believed lost.
    let silent = of(&Said::default());
    assert_eq!(silent.count(|standing| *standing == Standing::Unknown), given.plan.cells.len() - 2);
}

#[test]
fn a_later_submission_has_the_rest_and_waits_for_what_is_live() {
    let given = Given::new();
    let first = given.submit(&HashMap::new(), |_| true);
    let networks = &first.facts.arrays[0].name;
    first.submission.handed_over(networks, "12").unwrap();
    // Of the first submission one network is still in the queue, and nothing else was done.
    let said = queue("13|12|0|PENDING|Resources||0:00|10:00\n");
    let live = Status::new(&given.folder(), &said).unwrap().live;
    assert_eq!(live.len(), 1);
    let second = given.submit(&live, |index| !live.contains_key(&given.plan.cells[index].key));
    assert_eq!(second.submission.number, 2);
    let [again, evaluations] = &second.facts.arrays[..] else { panic!("{:?}", second.facts.arrays) };
    assert_eq!(again.cells, given.networks() - 1);
    assert_eq!(
        (evaluations.needs.as_slice(), evaluations.after.as_slice()),
        (&[again.name.clone()][..], &["12".to_owned()][..])
    );
    second.submission.handed_over(&again.name, "20").unwrap();
    let said = queue("13|12|0|RUNNING|None|n1|0:10|9:50\n21|20|0|PENDING|Resources||0:00|10:00\n");
    let status = Status::new(&given.folder(), &said).unwrap();
    assert_eq!(status.count(|standing| *standing == Standing::Running), 1);
    assert_eq!(status.count(|standing| *standing == Standing::Queued), 1);
}
