//! The official archives over https.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use robin_core::CancelToken;

use super::store::{Metered, Store};
use super::{FetchObserver, FileSource, archive};
use crate::entry::{CanonicalFile, Host};
use crate::{DatasetName, Error, Result, gzip};

/// In the order in which they are tried.
pub(super) fn sources(dataset: DatasetName) -> Vec<Box<dyn FileSource>> {
    let official = |&host: &Host| Box::new(Official { host, open }) as Box<dyn FileSource>;
    dataset.entry().hosts.iter().map(official).collect()
}

/// A response: its length, if the server tells, and its bytes.
pub(super) type Download = (Option<u64>, Box<dyn Read>);

pub(super) struct Official<F> {
    pub(super) host: Host,
    /// Starts the download of an address.
    pub(super) open: F,
}

impl<F: Fn(&str) -> Result<Download>> FileSource for Official<F> {
    fn name(&self) -> String {
        match self.host {
            Host::GzipFiles { base } | Host::Files { base } => base.to_owned(),
            Host::TarGz { url, .. } => url.to_owned(),
        }
    }

    fn provide(
        &self,
        wanted: &[CanonicalFile],
        store: &Store<'_>,
        observer: &mut dyn FetchObserver,
        cancel: &CancelToken,
    ) -> Result<()> {
        let mut download = |url: &str, take: &mut dyn FnMut(&mut dyn Read) -> Result<()>| {
            observer.progress(&format!("connecting to {url}"), 0, None);
            let (total, body) = (self.open)(url)?;
            take(&mut Metered::new(body, format!("downloading {url}"), total, observer, cancel))
        };
        match self.host {
            Host::GzipFiles { base } => {
                for file in wanted {
                    let url = format!("{base}/{}.gz", file.name);
                    download(&url, &mut |body| {
                        store.put(file, &url, &mut gunzipped(&url, body, file.size)?)
                    })?;
                }
                Ok(())
            }
            Host::Files { base } => {
                for file in wanted {
                    let url = format!("{base}/{}", file.name);
                    download(&url, &mut |body| store.put(file, &url, body))?;
                }
                Ok(())
            }
            Host::TarGz { url, folder } => {
                let paths: Vec<String> =
                    wanted.iter().map(|file| format!("{folder}/{}", file.name)).collect();
                download(url, &mut |body| {
                    archive::members(url, body, &paths, &mut |index, contents| {
                        store.put(&wanted[index], url, contents)
                    })
                })
            }
        }
    }
}

/// `body` decompressed, up to one byte more than `size`; some servers declare the gzip as a transfer encoding, and the client undoes it.
fn gunzipped<'a>(url: &str, body: &'a mut dyn Read, size: u64) -> Result<Box<dyn Read + 'a>> {
    let mut body = BufReader::new(body);
    let start = body.fill_buf().map_err(Error::transfer(format!("reading {url}")))?;
    Ok(match start.starts_with(&[0x1F, 0x8B]) {
        true => Box::new(gzip::decoder(body, size)),
        false => Box::new(body),
    })
}

fn open(url: &str) -> Result<Download> {
    // Short, because a machine without a way out should get to the next source soon; a slow line is fine,
    // only a silent one is given up.
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .https_only(true)
        .timeout_resolve(Some(Duration::from_secs(5)))
        .timeout_connect(Some(Duration::from_secs(8)))
        .timeout_recv_response(Some(Duration::from_secs(20)))
        .timeout_per_read(Some(Duration::from_secs(30)))
        .build()
        .into();
    let response = agent.get(url).call().map_err(Error::transfer(format!("downloading {url}")))?;
    let body = response.into_body();
    Ok((body.content_length(), Box::new(body.into_reader())))
}
