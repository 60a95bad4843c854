//! Looking through all files of a directory, and copying one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::reply::find;

/// What a search has looked at.
#[derive(Default)]
pub struct Searched {
    /// Files that were read whole.
    pub files: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Those that hold what was searched.
    pub hits: Vec<PathBuf>,
}

impl Searched {
    /// An error if there were hits or nothing to look at.
    pub fn found_nothing(&self) -> Result<String> {
        if let Some(hit) = self.hits.first() {
            bail!("it is in `{}` and {} more", hit.display(), self.hits.len() - 1);
        }
        if self.files == 0 {
            bail!("there was no file to look at");
        }
        Ok(format!("not in {} files, {:.1} MB", self.files, mega(self.bytes)))
    }
}

/// Reads every file below `dir` and searches it for `needle`.
///
/// # Errors
/// When a file cannot be read: what was not looked at is not clean.
pub fn search(dir: &Path, needle: &[u8]) -> Result<Searched> {
    let mut found = Searched::default();
    visit(dir, &mut |path| {
        let bytes = fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        found.files += 1;
        found.bytes += bytes.len();
        if find(&bytes, needle).is_some() {
            found.hits.push(path.to_owned());
        }
        Ok(())
    })?;
    Ok(found)
}

/// Copies the folders and files of `from` into the new folder `to`.
pub fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    visit(from, &mut |path| {
        let target = to.join(path.strip_prefix(from)?);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(path, &target).with_context(|| format!("cannot copy `{}`", path.display()))?;
        Ok(())
    })
}

/// Calls `each` for every file below `dir`.
pub fn visit(dir: &Path, each: &mut dyn FnMut(&Path) -> Result<()>) -> Result<()> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot list `{}`", dir.display()))?;
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            visit(&entry.path(), each)?;
        } else if kind.is_file() {
            each(&entry.path())?;
        }
    }
    Ok(())
}

/// Bytes as megabytes, for people.
pub fn mega(bytes: usize) -> f64 {
    // Exact up to 4 GB, and only shown.
    f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / 1e6
}

#[cfg(test)]
mod tests {
    use super::super::site::write;
    use super::*;

    #[test]
    fn search_finds_what_is_there_and_says_what_it_read() {
        let temp = tempfile::tempdir().unwrap();
        let (from, to) = (temp.path().join("a"), temp.path().join("b"));
        fs::create_dir_all(from.join("deep/er")).unwrap();
        write(&from.join("deep/er/x"), b"..needle..").unwrap();
        write(&from.join("y"), b"needl").unwrap();
        copy_dir(&from, &to).unwrap();
        let found = search(&to, b"needle").unwrap();
        assert_eq!((found.files, found.bytes), (2, 15));
        assert_eq!(found.hits, [to.join("deep/er/x")]);
        found.found_nothing().unwrap_err();
        assert!(search(&to, b"other").unwrap().found_nothing().unwrap().contains("2 files"));
        Searched::default().found_nothing().unwrap_err();
    }
}
