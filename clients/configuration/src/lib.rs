//! Flags of a program that stand in a file: what is typed counts, else the environment, else the file, else the default.
//!
//! The file has a key for each flag, named like it, with `_` or `-` between words. Its values become words of the command
//! line, so that they are checked, and refused, exactly as if they had been typed.

use std::{
    env,
    ffi::OsString,
    fs, iter,
    path::{Path, PathBuf},
};

use clap::{
    error::ErrorKind, parser::ValueSource, Arg, ArgAction, ArgMatches, Args, Command, Error,
};
use toml_edit::{DocumentMut, Item, TomlError, Value};

/// Name and key of the flag of [`FileFlag`].
const FLAG: &str = "config";

/// The flag of a program whose flags may stand in a file.
#[derive(Args, Clone, Debug, Default)]
pub struct FileFlag {
    /// TOML file with flags that are not typed, such as `market = "image"` or `threads = 2`. Those that are typed, and
    /// variables of the environment, win over it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Takes the variables of Noesis that are empty out of the environment: they count as not set, here and in the
/// programs that are started.
pub fn forget_empty_variables() {
    for (name, value) in env::vars_os() {
        if value.is_empty()
            && name
                .to_str()
                .is_some_and(|name| name.starts_with("NOESIS_"))
        {
            env::remove_var(name);
        }
    }
}

/// Reads the words of a command line and, where they name a file, its flags. `command` has the flag of [`FileFlag`].
///
/// # Errors
///
/// What is wrong with the words or the file, in words; help and version too.
pub fn matches<W: Into<OsString>>(
    mut command: Command,
    words: impl IntoIterator<Item = W>,
) -> Result<ArgMatches, Error> {
    let mut words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    // What is missing may stand in the file, and what is wrong is told in the end.
    let lenient = command.clone().ignore_errors(true);
    let typed = lenient.try_get_matches_from(words.clone())?;
    if let Some(path) = typed.get_one::<PathBuf>(FLAG) {
        let more = in_file(&command, &typed, path).map_err(|reason| {
            let reason = format!("--{FLAG} {}: {reason}", path.display());
            command.error(ErrorKind::InvalidValue, reason)
        })?;
        // Behind the program's name, before any subcommand.
        let at = words.len().min(1);
        words.splice(at..at, more);
    }
    command.try_get_matches_from(words)
}

/// The flags of the file, as words, but for those that were typed or are in the environment.
fn in_file(command: &Command, typed: &ArgMatches, path: &Path) -> Result<Vec<OsString>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    let document: DocumentMut = text
        .parse()
        .map_err(|error: TomlError| error.to_string().trim_end().to_owned())?;
    let mut words = Vec::new();
    for (key, item) in document.iter() {
        let name = key.replace('_', "-");
        let flag = command
            .get_arguments()
            .find(|flag| name != FLAG && flag.get_long() == Some(name.as_str()))
            .ok_or_else(|| format!("`{key}` is no flag that a file may have: --help lists them"))?;
        let values = values(item).ok_or_else(|| {
            format!(
                "`{key}` is to be a text in quotes, a number, true or false, or a list of these"
            )
        })?;
        let source = typed.value_source(flag.get_id().as_str());
        if !matches!(
            source,
            Some(ValueSource::CommandLine | ValueSource::EnvVariable)
        ) {
            words.extend(typed_so(flag, &name, values).map_err(|what| format!("`{key}` {what}"))?);
        }
    }
    Ok(words)
}

/// The words with which somebody would type that flag.
fn typed_so(flag: &Arg, name: &str, values: Vec<String>) -> Result<Vec<OsString>, &'static str> {
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    Ok(match (flag.get_action(), &values[..]) {
        (ArgAction::SetTrue, ["true"]) => vec![format!("--{name}").into()],
        (ArgAction::SetTrue, ["false"]) => Vec::new(),
        (ArgAction::SetTrue, _) => return Err("is to be true or false"),
        (_, []) => return Err("is a list of nothing"),
        // In one word, so that a value may begin with a dash.
        (_, [value]) => vec![format!("--{name}={value}").into()],
        (_, more) => {
            let words = more.iter().map(|value| OsString::from(*value));
            iter::once(OsString::from(format!("--{name}")))
                .chain(words)
                .collect()
        }
    })
}

/// The values that stand at a key; `None` where a flag has no such values.
fn values(item: &Item) -> Option<Vec<String>> {
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.value().clone()),
        Value::Integer(number) => Some(number.value().to_string()),
        Value::Float(number) => Some(number.value().to_string()),
        Value::Boolean(truth) => Some(truth.value().to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::InlineTable(_) => None,
    };
    match item.as_value()? {
        Value::Array(list) => list.iter().map(one).collect(),
        value => Some(vec![one(value)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, FromArgMatches, Parser};

    #[derive(Debug, Parser)]
    #[command(name = "program")]
    struct Flags {
        #[command(flatten)]
        file: FileFlag,
        #[arg(long)]
        coldkey: String,
        #[arg(long, default_value_t = 1)]
        threads: u16,
        #[arg(long, default_value_t = 0.5)]
        max_rate: f64,
        #[arg(long, num_args = 1..=2, default_value = "builtin")]
        model: Vec<String>,
        #[arg(long)]
        train_only: bool,
        #[arg(long, env = "NOESIS_TEST_FOLDER_OF_FLAGS")]
        folder: Option<String>,
    }

    fn read(file: &str, typed: &[&str]) -> Result<Flags, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flags.toml");
        fs::write(&path, file).unwrap();
        let path = path.to_str().unwrap();
        let words = [&["program", "--config", path], typed].concat();
        Flags::from_arg_matches(&matches(Flags::command(), words)?)
    }

    #[test]
    fn a_flag_of_the_file_counts_where_none_is_typed() {
        let file = "\
            coldkey = \"//Charlie\" # required\n\
            threads = 3\n\
            max_rate = -1e-3\n\
            model = [\"torchscript\", \"own.pt\"]\n\
            train-only = true\n";
        let flags = read(file, &[]).unwrap();
        assert_eq!((flags.coldkey.as_str(), flags.threads), ("//Charlie", 3));
        assert_eq!((flags.max_rate, flags.train_only), (-1e-3, true));
        assert_eq!(flags.model, ["torchscript", "own.pt"]);
        assert!(flags.file.config.is_some());

        let flags = read(file, &["--threads", "2", "--model", "builtin"]).unwrap();
        assert_eq!((flags.coldkey.as_str(), flags.threads), ("//Charlie", 2));
        assert_eq!(flags.model, ["builtin"]);
    }

    #[test]
    fn without_a_file_nothing_changes() {
        let words = ["program", "--coldkey", "//Dave"];
        let flags = Flags::from_arg_matches(&matches(Flags::command(), words).unwrap()).unwrap();
        assert_eq!((flags.coldkey.as_str(), flags.threads), ("//Dave", 1));
        let error = matches(Flags::command(), ["program"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MissingRequiredArgument);
        let error = matches(Flags::command(), ["program", "--help"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DisplayHelp);
    }

    #[test]
    fn the_environment_wins_over_the_file_but_for_an_empty_variable() {
        let file = "coldkey = \"//A\"\nfolder = \"of-the-file\"\n";
        let folder = || read(file, &[]).unwrap().folder.unwrap();
        assert_eq!(folder(), "of-the-file");
        // No other test reads this variable.
        env::set_var("NOESIS_TEST_FOLDER_OF_FLAGS", "of-the-environment");
        assert_eq!(folder(), "of-the-environment");
        env::set_var("NOESIS_TEST_FOLDER_OF_FLAGS", "");
        forget_empty_variables();
        assert_eq!(folder(), "of-the-file");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_in_words() {
        for (file, words) in [
            ("treads = 3", "`treads` is no flag"),
            ("help = true", "`help` is no flag"),
            ("config = \"other.toml\"", "`config` is no flag"),
            ("threads = 1979-05-27", "`threads` is to be a text"),
            ("[threads]\nmost = 3", "`threads` is to be a text"),
            ("threads = []", "`threads` is a list of nothing"),
            ("threads = ", "flags.toml: "),
            ("threads = 70000", "--threads"),
            ("train_only = 3", "`train_only` is to be true or false"),
            ("threads = 3", "--coldkey"),
        ] {
            let error = read(file, &[]).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(words), "{file}: {error}");
        }
        let words = ["program", "--config", "/nowhere/flags.toml"];
        let error = matches(Flags::command(), words).unwrap_err().to_string();
        assert!(
            error.contains("/nowhere/flags.toml: cannot be read"),
            "{error}"
        );
    }
}
