//! `test/corpus`: one folder per parser. Files made by hand are committed beside the recipe that makes them, so that other
//! programs can be tried on them too; a file that a campaign failed on is put here by the campaign and stays.

use std::fs;
use std::path::{Path, PathBuf};

use tunesmith_ops::Code;

use super::campaign::checked;

/// Recipes of more bytes than this are not committed.
const MOST_COMMITTED: usize = 32 << 10;
/// Begins the name of a file that a campaign failed on.
const FOUND: &str = "found-";

/// A file made by hand.
pub struct Attack {
    /// Name of the file, which says what is wrong with it.
    pub name: String,
    /// Content.
    pub bytes: Vec<u8>,
    /// The answer; none where the file is odd and yet valid.
    pub answer: Option<Code>,
}

/// A file that must be refused with this code.
pub fn attack(name: &str, bytes: impl Into<Vec<u8>>, code: Code) -> Attack {
    Attack { name: name.to_owned(), bytes: bytes.into(), answer: Some(code) }
}

/// A file that looks hostile and must be read.
pub fn odd(name: &str, bytes: impl Into<Vec<u8>>) -> Attack {
    Attack { name: name.to_owned(), bytes: bytes.into(), answer: None }
}

/// The folder of a parser.
pub fn folder(parser: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/corpus").join(parser)
}

/// Keeps the file of a case that failed.
pub fn keep(parser: &str, case: u64, bytes: &[u8]) -> PathBuf {
    let path = folder(parser).join(format!("{FOUND}{case}"));
    fs::create_dir_all(folder(parser)).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

/// Reads every file made by hand and every file found. `read` answers with the error's code.
pub fn check(parser: &str, attacks: &[Attack], mut read: impl FnMut(&[u8]) -> Result<(), Code>) {
    let folder = folder(parser);
    for Attack { name, bytes, answer } in attacks {
        let path = folder.join(name);
        if bytes.len() <= MOST_COMMITTED {
            if std::env::var_os("WRITE_CORPUS").is_some() {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&path, bytes).unwrap();
            }
            let committed = fs::read(&path).unwrap_or_default();
            assert!(committed == *bytes, "{name} is not what its recipe makes; run with WRITE_CORPUS=1");
        }
        let got = checked(bytes, || read(bytes)).unwrap_or_else(|failure| panic!("{parser}/{name}: {failure}"));
        assert_eq!(got.err(), *answer, "{parser}/{name}");
    }
    let mut found = 0;
    for item in fs::read_dir(&folder).unwrap() {
        let name = item.unwrap().file_name().into_string().unwrap();
        if name.starts_with(FOUND) {
            let bytes = fs::read(folder.join(&name)).unwrap();
            let _ = checked(&bytes, || read(&bytes)).unwrap_or_else(|failure| panic!("{parser}/{name}: {failure}"));
            found += 1;
        } else {
            assert!(attacks.iter().any(|attack| attack.name == name), "{parser}/{name} has no recipe");
        }
    }
    eprintln!("{parser}: {} files made by hand, {found} found by campaigns", attacks.len());
}
