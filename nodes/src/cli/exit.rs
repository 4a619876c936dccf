//! The exit codes of the `trefoil` program, in one place.

use std::process::ExitCode;

/// How a command ended.
///
/// [`Exit::HELP`] is the same list as `--help` prints it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Exit {
    /// The command did what was asked.
    Ok = 0,
    /// The job failed, was refused by a node, or a check did not hold.
    Failed = 1,
    /// The command line, a configuration file or a certificate is wrong; nothing was started.
    Usage = 2,
    /// One or more nodes cannot be reached, or do not reach each other.
    Unreachable = 3,
    /// This machine refused a file, a socket or a process.
    System = 4,
    /// Two nodes contradict each other: one deviated from the protocol. Nothing was released; do not
    /// retry before the cause is known.
    Integrity = 5,
}

impl Exit {
    /// The codes as the end of `trefoil --help` lists them.
    pub const HELP: &str = "\
Exit codes:
  0  done
  1  the job failed, was refused by a node, or a check did not hold
  2  the command line, a configuration file or a certificate is wrong; nothing was started
  3  one or more nodes cannot be reached, or do not reach each other
  4  this machine refused a file, a socket or a process
  5  two nodes contradict each other: one deviated from the protocol; nothing was released";
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn the_help_lists_every_code_once() {
        let all = [Exit::Ok, Exit::Failed, Exit::Usage, Exit::Unreachable, Exit::System, Exit::Integrity];
        for (at, exit) in all.into_iter().enumerate() {
            assert_eq!(exit as usize, at);
            let lines = Exit::HELP.lines().filter(|l| l.starts_with(&format!("  {at}  "))).count();
            assert_eq!(lines, 1, "code {at}");
        }
    }
}
