//! What was given as paths becomes files: names, folders and patterns.
//!
//! * A folder means its files: not hidden ones, not those of sub-folders, sorted by name.
//! * A pattern has `*`, `?`, `[…]` within a name and `**` for any depth; a hidden file matches only a name that begins
//!   with a dot. A path that exists as it stands is never taken for a pattern.
//! * Links are followed. A file that is met twice by one path is given once.

use std::{
    collections::HashSet,
    ffi::OsString,
    io,
    path::{Component, Path, PathBuf},
};

use glob::{MatchOptions, Pattern};

use super::{
    error::SourceError,
    file_system::{FileKind, FileSystem, Metadata},
};

/// How many files one run takes. Each costs some kilobytes while it is identified.
pub const FILES_MAX: usize = 20_000;

const MATCH: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// The files that paths stand for.
#[derive(Debug, Clone, Default)]
pub struct Expansion {
    /// The files, each once: in the order given, sorted within a folder or a pattern.
    pub files: Vec<PathBuf>,
    given_files: HashSet<PathBuf>,
    scopes: Vec<Scope>,
}

/// A folder or a pattern that was given, by its absolute path.
#[derive(Debug, Clone)]
enum Scope {
    Folder(PathBuf),
    Pattern(Pattern),
}

impl Expansion {
    /// Files that were given by name, by their absolute paths.
    pub(super) fn given_files(&self) -> impl Iterator<Item = &Path> {
        self.given_files.iter().map(PathBuf::as_path)
    }

    /// Whether a file at this absolute path is among what was given, if it exists.
    pub fn covers(&self, path: &Path) -> bool {
        let in_scope = self.scopes.iter().any(|scope| match scope {
            Scope::Folder(folder) => {
                path.parent() == Some(folder)
                    && path.file_name().is_some_and(|name| !is_hidden(name))
            }
            Scope::Pattern(pattern) => pattern.matches_path_with(path, MATCH),
        });
        in_scope || self.given_files.contains(path)
    }
}

/// Finds the files that `paths` stand for.
///
/// # Errors
/// Nothing at a path, nothing that a pattern or a folder gives, no permission, a folder that is its own ancestor.
pub fn expand(paths: &[String], fs: &dyn FileSystem) -> Result<Expansion, SourceError> {
    let mut walk = Walk::new(fs);
    for path in paths {
        walk.given = path;
        walk.path(local_path(path)?)?;
    }
    Ok(walk.expansion)
}

/// The same where files may be away for a while, as between a rotation and the first line in the new file.
///
/// # Errors
/// As [`expand`], but for what is not there.
pub fn expand_present(paths: &[String], fs: &dyn FileSystem) -> Result<Expansion, SourceError> {
    let mut walk = Walk::new(fs);
    for path in paths {
        walk.given = path;
        let path = local_path(path)?;
        match walk.path(path) {
            Err(error) if error.is_absence() => {
                if !is_pattern(path) {
                    let absolute = walk.absolute(Path::new(path))?;
                    walk.expansion.given_files.insert(absolute);
                }
            }
            walked => walked?,
        }
    }
    Ok(walk.expansion)
}

/// The local path of a path or a `file://` URL.
fn local_path(path: &str) -> Result<&str, SourceError> {
    let Some((scheme, rest)) = path.split_once("://") else {
        return Ok(path);
    };
    let is_scheme = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_scheme {
        return Ok(path);
    }
    if scheme.eq_ignore_ascii_case("file") && rest.starts_with('/') {
        return Ok(rest);
    }
    Err(SourceError::UnsupportedScheme {
        url: path.to_owned(),
        scheme: scheme.to_owned(),
    })
}

struct Walk<'a> {
    fs: &'a dyn FileSystem,
    /// What is being expanded, as given.
    given: &'a str,
    expansion: Expansion,
    seen: HashSet<PathBuf>,
}

impl<'a> Walk<'a> {
    fn new(fs: &'a dyn FileSystem) -> Self {
        Self {
            fs,
            given: "",
            expansion: Expansion::default(),
            seen: HashSet::new(),
        }
    }

    fn path(&mut self, given: &str) -> Result<(), SourceError> {
        let path = Path::new(given);
        match self.fs.metadata(path) {
            Ok(metadata) => self.existing(path, metadata),
            Err(error) if is_absent(&error) && is_pattern(given) => self.pattern(given),
            Err(error) => Err(SourceError::at_path(path, error)),
        }
    }

    /// A path that stands for what is there.
    fn existing(&mut self, path: &Path, metadata: Metadata) -> Result<(), SourceError> {
        let absolute = self.absolute(path)?;
        match metadata.kind {
            FileKind::File => {
                self.expansion.given_files.insert(absolute);
                self.add(path)
            }
            FileKind::Folder => {
                self.expansion.scopes.push(Scope::Folder(absolute));
                self.folder(path)
            }
            FileKind::Other => Err(SourceError::NotRegular {
                path: path.to_owned(),
            }),
        }
    }

    fn folder(&mut self, folder: &Path) -> Result<(), SourceError> {
        let (mut files, mut subfolders) = (false, false);
        for name in self
            .names(folder)?
            .into_iter()
            .filter(|name| !is_hidden(name))
        {
            let path = folder.join(name);
            match self.kind(&path)? {
                Some(FileKind::File) => {
                    files = true;
                    self.add(&path)?;
                }
                Some(FileKind::Folder) => subfolders = true,
                _ => {}
            }
        }
        if files {
            if subfolders {
                tracing::warn!(folder = %folder.display(), "sub-folders are not searched; give a pattern with ** for those");
            }
            return Ok(());
        }
        Err(SourceError::EmptyFolder {
            path: folder.to_owned(),
            subfolders,
        })
    }

    fn pattern(&mut self, given: &str) -> Result<(), SourceError> {
        let (root, components) = components(given)?;
        let absolute = self.absolute(Path::new(if root { "/" } else { "." }))?;
        let mut scope = PathBuf::from(Pattern::escape(&absolute.to_string_lossy()));
        scope.extend(components.iter().map(Pattern::as_str));
        let scope = compile(given, &scope.to_string_lossy())?;
        self.expansion.scopes.push(Scope::Pattern(scope));
        let matched = self.matches(
            Path::new(if root { "/" } else { "" }),
            &components,
            &mut Vec::new(),
        )?;
        if matched {
            Ok(())
        } else {
            Err(SourceError::NothingMatched {
                pattern: given.to_owned(),
            })
        }
    }

    /// Adds the files below `base` that match; whether there were any.
    fn matches(
        &mut self,
        base: &Path,
        components: &[Pattern],
        ancestors: &mut Vec<(u64, u64)>,
    ) -> Result<bool, SourceError> {
        let Some((first, rest)) = components.split_first() else {
            let is_file = self.kind(base)? == Some(FileKind::File);
            if is_file {
                self.add(base)?;
            }
            return Ok(is_file);
        };
        if first.as_str() == "**" {
            return self.any_depth(base, components, ancestors);
        }
        if !is_pattern(first.as_str()) {
            return self.matches(&base.join(first.as_str()), rest, ancestors);
        }
        if self.kind(base)? != Some(FileKind::Folder) {
            return Ok(false);
        }
        let mut matched = false;
        for name in self.names(base)? {
            if first.matches_with(&name.to_string_lossy(), MATCH) {
                matched |= self.matches(&base.join(name), rest, ancestors)?;
            }
        }
        Ok(matched)
    }

    /// `**`: this folder and all below it.
    fn any_depth(
        &mut self,
        base: &Path,
        components: &[Pattern],
        ancestors: &mut Vec<(u64, u64)>,
    ) -> Result<bool, SourceError> {
        let Some(metadata) = self
            .metadata(base)?
            .filter(|found| found.kind == FileKind::Folder)
        else {
            return Ok(false);
        };
        if metadata.id.is_some_and(|id| ancestors.contains(&id)) {
            return Err(SourceError::FolderLoop {
                pattern: self.given.to_owned(),
                path: base.to_owned(),
            });
        }
        ancestors.extend(metadata.id);
        let mut matched = self.matches(base, &components[1..], ancestors)?;
        for name in self
            .names(base)?
            .into_iter()
            .filter(|name| !is_hidden(name))
        {
            let path = base.join(name);
            if self.kind(&path)? == Some(FileKind::Folder) {
                matched |= self.any_depth(&path, components, ancestors)?;
            }
        }
        if metadata.id.is_some() {
            ancestors.pop();
        }
        Ok(matched)
    }

    fn add(&mut self, path: &Path) -> Result<(), SourceError> {
        if !self.seen.insert(self.absolute(path)?) {
            return Ok(());
        }
        if self.expansion.files.len() == FILES_MAX {
            return Err(SourceError::TooManyFiles {
                given: self.given.to_owned(),
                files_max: FILES_MAX,
            });
        }
        self.expansion.files.push(path.to_owned());
        Ok(())
    }

    /// The names in a folder, sorted.
    fn names(&self, folder: &Path) -> Result<Vec<OsString>, SourceError> {
        let listed = or_here(folder);
        let names = self.fs.list(listed);
        let mut names = names.map_err(|cause| SourceError::at_path(listed, cause))?;
        names.sort();
        Ok(names)
    }

    fn kind(&self, path: &Path) -> Result<Option<FileKind>, SourceError> {
        Ok(self.metadata(path)?.map(|metadata| metadata.kind))
    }

    /// What is at a path that was met on the way; `None` where it has gone meanwhile, or is a link to nothing.
    fn metadata(&self, path: &Path) -> Result<Option<Metadata>, SourceError> {
        match self.fs.metadata(or_here(path)) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(SourceError::at_path(path, error)),
        }
    }

    fn absolute(&self, path: &Path) -> Result<PathBuf, SourceError> {
        absolute(self.fs, path)
    }
}

/// The names of a pattern, and whether it begins at the root.
fn components(given: &str) -> Result<(bool, Vec<Pattern>), SourceError> {
    let names = given
        .split('/')
        .filter(|name| !name.is_empty() && *name != ".");
    let mut components: Vec<Pattern> = names
        .map(|name| compile(given, name))
        .collect::<Result<_, _>>()?;
    if components.last().is_some_and(|last| last.as_str() == "**") {
        components.push(compile(given, "*")?);
    }
    Ok((given.starts_with('/'), components))
}

/// A path from the root, without `.`.
pub(super) fn absolute(fs: &dyn FileSystem, path: &Path) -> Result<PathBuf, SourceError> {
    let absolute = fs
        .absolute(or_here(path))
        .map_err(|cause| SourceError::at_path(path, cause))?;
    Ok(absolute
        .components()
        .filter(|component| *component != Component::CurDir)
        .collect())
}

/// The working folder where a path is empty.
fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}

/// Whether a name is hidden, by the custom of Unix.
pub(super) fn is_hidden(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Whether nothing is there. A file in place of a folder of the path counts: `access.log/x*` names nothing.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn is_pattern(given: &str) -> bool {
    given.contains(['*', '?', '['])
}

fn compile(given: &str, pattern: &str) -> Result<Pattern, SourceError> {
    Pattern::new(pattern).map_err(|error| SourceError::BadPattern {
        pattern: given.to_owned(),
        detail: error.msg.to_owned(),
    })
}
