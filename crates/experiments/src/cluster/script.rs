//! Batch scripts for Slurm, as people would write them.

use std::fmt::Write as _;
use std::path::Path;

use super::settings::Cluster;

/// Exit code of a task that is not done, has saved what it has, and asks for another turn (`EX_TEMPFAIL` of sysexits.h).
pub const AGAIN: u8 = 75;
/// Exit code of a task that was told to end, and has saved what it has: 128 and SIGTERM.
pub const ENDED: u8 = 143;

/// A job that a script is for.
#[derive(Debug, Clone)]
pub struct JobHead<'a> {
    /// What it asks for.
    pub cluster: &'a Cluster,
    /// `--job-name`: jobs are found again by it.
    pub name: &'a str,
    /// Of the plan, for `--comment`.
    pub plan: &'a str,
    /// Time limit in Slurm's notation, and in seconds.
    pub limit: (String, u64),
    /// Folder of what the tasks say.
    pub logs: &'a Path,
    /// What is said of it at the top.
    pub title: &'a str,
}

/// The script of an array of `tasks` tasks. `command` runs one, given `--task` and `--threads`.
pub fn array(head: &JobHead<'_>, file: &str, tasks: usize, command: &[&str]) -> String {
    let warning = head.cluster.warning(head.limit.1);
    let concurrent = head.cluster.max_concurrent.map(|most| format!("%{most}")).unwrap_or_default();
    let mut own = format!("#SBATCH --array=0-{}{concurrent}\n", tasks - 1);
    let _ = writeln!(own, "#SBATCH --signal=B:USR1@{warning}");
    let log = format!("{file}-%a.out");
    let mut script = top(head, &own, &log, (head.cluster.cores(), head.cluster.gpus.as_deref()));
    script.push_str(
        "# Signals come to this script, also where the work is in a container: they are passed on.\n\
         child=\n\
         signalled=\n\
         tell() {\n    signalled=1\n    [ -z \"$child\" ] || kill \"-$1\" \"$child\" 2>/dev/null\n}\n\
         trap 'tell USR1' USR1 USR2\n\
         trap 'tell TERM' TERM\n\n",
    );
    script.push_str(&setup(head.cluster));
    let line = line(head.cluster, command);
    let _ = write!(
        script,
        "{line} --task \"$SLURM_ARRAY_TASK_ID\" --threads \"$SLURM_CPUS_PER_TASK\" &\n\
         child=$!\n\
         while :; do\n    signalled=\n    wait \"$child\"\n    status=$?\n    [ -n \"$signalled\" ] || break\ndone\n\n\
         # Neither end says that the work is done, and who ends here may be taken for done or failed: so wait to be ended.\n\
         wait_for_the_end() {{ (trap '' TERM; exec sleep 600); }}\n\
         case $status in\n\
         {AGAIN} | 138) # told before the time limit (138: before it could listen): saved, and wants another turn. It is\n    \
             # named as a task, for a job's number may mean all.\n    \
             for _ in 1 2 3 4 5 6; do\n        \
                 if scontrol requeue \"${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}\"; then\n            \
                     wait_for_the_end\n            break\n        fi\n        sleep 10\n    done\n    ;;\n\
         {ENDED}) # told to end, and saved; Slurm has decided already\n    wait_for_the_end\n    ;;\n\
         esac\n\
         exit \"$status\"\n",
    );
    script
}

/// The script of a job that runs `command` once, on one core.
pub fn once(head: &JobHead<'_>, file: &str, command: &[&str]) -> String {
    let mut script = top(head, "", &format!("{file}.out"), (1, None));
    script.push_str(&setup(head.cluster));
    let _ = writeln!(script, "{}", line(head.cluster, command));
    script
}

fn top(head: &JobHead<'_>, own: &str, log: &str, (cores, gpus): (usize, Option<&str>)) -> String {
    let JobHead { cluster, name, plan, limit, logs, title } = head;
    let mut text = format!("#!/bin/bash\n# {title}\n");
    let mut directive = |option: String| {
        let _ = writeln!(text, "#SBATCH {option}");
    };
    directive(format!("--job-name={name} --comment=plan:{plan}"));
    let words = [("partition", &cluster.partition), ("account", &cluster.account), ("qos", &cluster.qos)];
    for (option, value) in words {
        if let Some(value) = value {
            directive(format!("--{option}={value}"));
        }
    }
    let mem = cluster.mem.as_deref().unwrap_or("4G");
    directive(format!("--nodes=1 --ntasks=1 --cpus-per-task={cores} --mem={mem} --time={}", limit.0));
    if let Some(gpus) = gpus {
        directive(format!("--gres=gpu:{gpus}"));
    }
    directive("--requeue --open-mode=append".to_owned());
    directive(format!("--output={}", directive_path(&logs.join(log))));
    for option in &cluster.sbatch {
        directive(option.clone());
    }
    text.push_str(own);
    text.push('\n');
    text
}

/// Lines before the work; a fault in them ends the task.
fn setup(cluster: &Cluster) -> String {
    let mut text = String::from("set -e\n");
    for (name, value) in &cluster.environment {
        let _ = writeln!(text, "export {name}=\"{}\"", in_quotes(value));
    }
    if let Some(scratch) = &cluster.scratch {
        let _ = writeln!(text, "export TMPDIR=\"{}\"\nmkdir -p \"$TMPDIR\"", in_quotes(scratch));
    }
    for line in &cluster.setup {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str("set +e\n\n");
    text
}

fn line(cluster: &Cluster, command: &[&str]) -> String {
    let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
    let prefix = cluster.container.as_ref().map(|prefix| format!("{prefix} ")).unwrap_or_default();
    prefix + &words.join(" ")
}

/// `word` as the shell reads it back.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// Between double quotes: variables are replaced, nothing is run.
fn in_quotes(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('`', "\\`").replace("$(", "\\$(")
}

/// A path in a line for Slurm, which replaces what begins with %.
fn directive_path(path: &Path) -> String {
    let text = path.display().to_string();
    // Only the last part may have a %a.
    let (folder, name) = text.rsplit_once('/').unwrap_or(("", &text));
    let folder = folder.replace('%', "%%");
    let whole = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    if whole.contains(' ') { format!("\"{whole}\"") } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(cluster: &Cluster) -> JobHead<'_> {
        JobHead {
            cluster,
            name: "robin-0123-1-networks",
            plan: "0123",
            limit: cluster.limit(60.0).unwrap(),
            logs: Path::new("results/slurm/0123/1/logs"),
            title: "Networks.",
        }
    }

    /// What a script with everything in it looks like; whoever changes it looks at the whole once.
    #[test]
    fn a_script_says_everything_explicitly() {
        let cluster: Cluster = toml::from_str(
            "partition = \"gpu\"\naccount = \"lab\"\ngpus = \"a100:1\"\ncpus = 4\nmem = \"16G\"\nmax-concurrent = 8\n\
             sbatch = [\"--exclude=n13\"]\nsetup = [\"module load cuda\"]\ncontainer = \"apptainer exec --nv robin.sif\"\n\
             scratch = \"/scratch/$USER\"\n[environment]\nROBIN_DATA = \"/data/robin\"\n",
        )
        .unwrap();
        let command = ["bin/xtask", "run-cell", "results/my slurm/0123/1", "--array", "networks"];
        let script = array(&head(&cluster), "networks", 22, &command);
        assert_eq!(script, include_str!("script/golden.sbatch"));
    }

    #[test]
    fn nothing_is_asked_for_that_nobody_named() {
        let script = once(&head(&Cluster::default()), "collect", &["bin/xtask", "collect"]);
        for option in ["--partition", "--account", "--qos", "--gres", "--array", "--signal"] {
            assert!(!script.contains(option), "{script}");
        }
        assert!(script.contains("--cpus-per-task=1 --mem=4G --time=00:15:00"), "{script}");
    }

    #[test]
    fn words_come_back_from_the_shell() {
        for (word, expected) in
            [("a/b-1.2", "a/b-1.2"), ("my results", "'my results'"), ("it's", "'it'\\''s'"), ("", "''")]
        {
            assert_eq!(quoted(word), expected);
        }
        assert_eq!(in_quotes("$HOME/`x`$(y)\""), "$HOME/\\`x\\`\\$(y)\\\"");
    }
}
