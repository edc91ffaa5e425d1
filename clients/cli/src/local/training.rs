//! The checkpoint of a miner that was trained before its network starts: trained once, and kept for the next.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{bail, Context, Result};

use super::{plan::Plan, process::Supervisor};
use crate::screen::say;

/// One member's training.
pub struct Training<'a> {
    /// The network in which it will serve.
    pub plan: &'a Plan,
    /// Which of its members.
    pub index: usize,
    /// Steps of it.
    pub steps: u32,
}

impl Training<'_> {
    /// Puts the miner's checkpoint in place, from the cache where it has one, and trains it.
    ///
    /// A kept checkpoint goes through the same training, which finds nothing left to do; one that is
    /// damaged or of another version fails there, and is made anew.
    pub async fn prepare(&self, cache: Option<&Path>, supervisor: &mut Supervisor) -> Result<()> {
        let name = &self.plan.members[self.index].name;
        let checkpoint = self.plan.checkpoint(name);
        let kept = cache.map(|cache| self.kept(cache)).transpose()?;
        let mut useless = false;
        if let Some(kept) = kept.as_deref().filter(|kept| kept.is_dir()) {
            say(&format!(
                "the miner `{name}` was trained before; looking whether its checkpoint is whole"
            ));
            copy_folder(kept, &checkpoint)?;
            if self.train(supervisor).await? {
                return Ok(());
            }
            say(&format!(
                "the kept checkpoint {} could not be used",
                kept.display()
            ));
            fs::remove_dir_all(&checkpoint)?;
            useless = true;
        }
        say(&format!(
            "training the miner `{name}` for {} steps, once",
            self.steps
        ));
        if !self.train(supervisor).await? {
            bail!("the training of `{name}` failed: the reason stands above");
        }
        if let Some(kept) = kept {
            // Whole or not at all: another network may look for it at this moment.
            let temporary = kept.with_extension(format!("{}.tmp", std::process::id()));
            copy_folder(&checkpoint, &temporary)?;
            // Only now: what failed may have been the program, and not what is kept.
            if useless {
                // Where it stays, the rename fails.
                let _ = fs::remove_dir_all(&kept);
            }
            if fs::rename(&temporary, &kept).is_err() {
                fs::remove_dir_all(&temporary)?;
            }
        }
        Ok(())
    }

    /// Trains, saying its progress aloud; whether it succeeded.
    async fn train(&self, supervisor: &mut Supervisor) -> Result<bool> {
        let command = self.plan.train(self.index, self.steps);
        supervisor.start_aloud("the training", command)?;
        Ok(supervisor.wait().await?.success())
    }

    /// Where the cache keeps the checkpoint of these data, seed and length of training.
    fn kept(&self, cache: &Path) -> Result<PathBuf> {
        let data = &self.plan.data;
        let content = hash(data).with_context(|| format!("cannot read {}", data.display()))?;
        let version = env!("CARGO_PKG_VERSION").replace('.', "-");
        Ok(cache.join(format!(
            "trained-{}-v{version}-steps{}-seed{}-data-{content}",
            self.plan.market,
            self.steps,
            self.plan.seed_of(self.index)
        )))
    }
}

/// A hash of what is in a file, or in the files of a folder and by what names.
fn hash(data: &Path) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    if data.is_dir() {
        let mut files = fs::read_dir(data)?.collect::<io::Result<Vec<_>>>()?;
        files.sort_by_key(fs::DirEntry::file_name);
        for file in files.iter().filter(|file| file.path().is_file()) {
            // Name and content are hashed alone first: all hashes have one length, so that no two folders read the same.
            hasher.update(blake3::hash(file.file_name().as_encoded_bytes()).as_bytes());
            hasher.update(hash(&file.path())?.as_bytes());
        }
    } else {
        hasher.update_reader(fs::File::open(data)?)?;
    }
    Ok(hasher.finalize())
}

/// Copies a folder with all that is in it.
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{local::plan::Member, row::Role};
    use std::os::unix::fs::PermissionsExt;

    const NAME: &str = "miner";

    /// Its training.
    fn training(plan: &Plan) -> Training<'_> {
        Training {
            plan,
            index: 0,
            steps: 10,
        }
    }

    /// A plan whose miner is a script: it refuses a damaged checkpoint, and fails while there is a file `broken`.
    fn plan(folder: &Path) -> Plan {
        let script = format!(
            r#"#!/bin/sh
[ -e {broken} ] && exit 1
while [ "$1" != --checkpoint ]; do shift; done
mkdir -p "$2"
if grep -q damaged "$2/model" 2>/dev/null; then exit 1; fi
[ -f "$2/model" ] || echo trained > "$2/model"
"#,
            broken = folder.join("broken").display()
        );
        let miner = folder.join("noesis-miner");
        fs::write(&miner, script).unwrap();
        fs::set_permissions(&miner, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.join("text"), "In the beginning").unwrap();
        Plan {
            binaries: folder.into(),
            data: folder.join("text"),
            folder: folder.join("net"),
            base_port: 20_000,
            seed: 1,
            market: "text".into(),
            members: vec![Member::new(NAME, Role::Miner, "//Charlie", &[])],
            before: 0,
        }
    }

    fn model(plan: &Plan) -> String {
        fs::read_to_string(plan.checkpoint(NAME).join("model")).unwrap()
    }

    #[tokio::test]
    async fn a_checkpoint_is_kept_and_a_damaged_one_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(folder.path());
        let training = training(&plan);
        let cache = folder.path().join("cache");
        let mut supervisor = Supervisor::default();
        training
            .prepare(Some(&cache), &mut supervisor)
            .await
            .unwrap();
        assert_eq!(model(&plan), "trained\n");

        let kept = training.kept(&cache).unwrap();
        fs::write(kept.join("model"), "from the cache").unwrap();
        fs::remove_dir_all(&plan.folder).unwrap();
        training
            .prepare(Some(&cache), &mut supervisor)
            .await
            .unwrap();
        assert_eq!(model(&plan), "from the cache");

        fs::write(kept.join("model"), "damaged").unwrap();
        fs::remove_dir_all(&plan.folder).unwrap();
        training
            .prepare(Some(&cache), &mut supervisor)
            .await
            .unwrap();
        assert_eq!(model(&plan), "trained\n");
        assert_eq!(fs::read_to_string(kept.join("model")).unwrap(), "trained\n");
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_miner_that_cannot_be_trained_costs_no_checkpoint_that_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(folder.path());
        let training = training(&plan);
        let cache = folder.path().join("cache");
        let mut supervisor = Supervisor::default();
        let first = training.prepare(Some(&cache), &mut supervisor).await;
        first.unwrap();
        let kept = training.kept(&cache).unwrap();
        fs::write(kept.join("model"), "from the cache").unwrap();
        fs::remove_dir_all(&plan.folder).unwrap();

        fs::write(folder.path().join("broken"), "").unwrap();
        let second = training.prepare(Some(&cache), &mut supervisor).await;
        second.unwrap_err();
        fs::remove_file(folder.path().join("broken")).unwrap();
        let third = training.prepare(Some(&cache), &mut supervisor).await;
        third.unwrap();
        assert_eq!(model(&plan), "from the cache");
    }

    #[test]
    fn other_data_of_the_same_size_have_a_checkpoint_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let mut plan = plan(folder.path());
        let kept = |plan: &Plan| training(plan).kept(Path::new("cache")).unwrap();
        let text = kept(&plan);
        fs::write(&plan.data, "At the beginning").unwrap();
        let mut all = vec![text, kept(&plan)];
        // Folders of two files each: of other content, and of the same under each other's names.
        let folders = [
            ("one", ["0", "1"]),
            ("two", ["0", "2"]),
            ("three", ["1", "0"]),
        ];
        for (name, contents) in folders {
            plan.data = folder.path().join(name);
            fs::create_dir(&plan.data).unwrap();
            for (file, content) in ["images", "labels"].iter().zip(contents) {
                fs::write(plan.data.join(file), content).unwrap();
            }
            all.push(kept(&plan));
        }
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 5, "{all:?}");
        // The same images elsewhere are the same.
        fs::rename(&plan.data, folder.path().join("moved")).unwrap();
        plan.data = folder.path().join("moved");
        assert!(all.contains(&kept(&plan)));
    }

    #[tokio::test]
    async fn a_training_that_fails_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(folder.path());
        fs::create_dir_all(plan.checkpoint(NAME)).unwrap();
        fs::write(plan.checkpoint(NAME).join("model"), "damaged").unwrap();
        let error = training(&plan)
            .prepare(None, &mut Supervisor::default())
            .await
            .unwrap_err();
        assert!(error.to_string().contains("training of `miner` failed"));
    }
}
