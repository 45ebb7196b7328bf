//! Files and folders that only their owner may read: the log and what is derived from it hold
//! everything that was ever placed.
//!
//! Permissions are set whatever the umask says. Files from before are tightened when a hub starts;
//! a folder that somebody else made is not, since other things may be in it: it is told instead.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

const FOLDER: u32 = 0o700;
const FILE: u32 = 0o600;

/// What others than the owner may do with something.
const OTHERS: u32 = 0o077;

/// How deep folders of ours are.
const DEPTH_MAX: usize = 8;

/// Has every file that this process makes from now on belong to its owner alone.
pub(crate) fn from_now_on() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(OTHERS));
}

/// Makes a folder that only its owner may enter, and those above it as they usually are. Says
/// whether others may enter it, since it was there before.
pub(crate) fn make_folder(folder: &Path) -> io::Result<bool> {
    if let Some(above) = folder.parent() {
        fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(FOLDER).create(folder) {
        Ok(()) => {
            fs::set_permissions(folder, Permissions::from_mode(FOLDER))?;
            Ok(false)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let metadata = fs::metadata(folder)?;
            if !metadata.is_dir() {
                return Err(error);
            }
            Ok(metadata.permissions().mode() & OTHERS != 0)
        }
        Err(error) => Err(error),
    }
}

/// Takes away what others may do with a file or folder of ours, and with everything in it. What is
/// not there needs nothing.
pub(crate) fn tighten(path: &Path) -> io::Result<()> {
    tighten_to(path, DEPTH_MAX)
}

fn tighten_to(path: &Path, depth: usize) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    let is_folder = metadata.is_dir();
    if !is_folder && !metadata.is_file() {
        return Ok(());
    }
    if metadata.permissions().mode() & OTHERS != 0 {
        let mode = if is_folder { FOLDER } else { FILE };
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    if is_folder && depth > 0 {
        for entry in fs::read_dir(path)? {
            tighten_to(&entry?.path(), depth - 1)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_folder_is_its_owners_alone_and_an_old_one_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let new = dir.path().join("above/new");
        assert!(!make_folder(&new).unwrap());
        assert_eq!(mode(&new), 0o700);
        assert!(!make_folder(&new).unwrap());
        fs::set_permissions(&new, Permissions::from_mode(0o755)).unwrap();
        assert!(make_folder(&new).unwrap());
        assert_eq!(mode(&new), 0o755, "somebody else made it so");
    }

    #[test]
    fn what_was_readable_is_tightened_with_all_that_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let rows = dir.path().join("rows");
        fs::create_dir_all(rows.join("blobs")).unwrap();
        let file = rows.join("blobs/1");
        fs::write(&file, "x").unwrap();
        for (path, mode) in [(&rows, 0o755), (&file, 0o644)] {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        tighten(&rows).unwrap();
        assert_eq!((mode(&rows), mode(&rows.join("blobs")), mode(&file)), (0o700, 0o700, 0o600));
        tighten(&dir.path().join("nothing")).unwrap();
    }
}
