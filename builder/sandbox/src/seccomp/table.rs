//! Which system call gets which answer.

use super::program::{Answer, Rule, Test};
use crate::spec::{RootEmulation, Syncs};

/// Refused to everyone: they reach beyond the sandbox, or widen what it has to hold against. The selection follows the
/// default profile of container runtimes; all but the last group need a privilege that nobody in here has, and are
/// listed so that a hole in the kernel's check is not a hole in the sandbox.
const REFUSED: &[libc::c_long] = &[
    // Mounts
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // Other namespaces
    libc::SYS_setns,
    // The kernel itself
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_lookup_dcookie,
    libc::SYS_fanotify_init,
    // The clock and the ports
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_vhangup,
    // Keys belong to the user, not to the namespace
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Everyone may call these, and exploits do
    libc::SYS_userfaultfd,
    libc::SYS_vmsplice,
];

/// Answered as by a kernel that does not have them: programs know another way.
const UNKNOWN: &[libc::c_long] = &[
    // Its flags lie in memory, where a filter cannot see them; the C library falls back to `clone`.
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

const NEW_NAMESPACES: u32 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP) as u32;

/// A child's namespace of clocks; as a flag of `clone` the bit is part of the exit signal.
const NEW_TIME_NAMESPACE: u32 = 0x80;

/// Typing into the caller's terminal, and what its selection can do to the same end.
const TERMINAL_INJECTION: [u32; 2] = [libc::TIOCSTI as u32, 0x541C];

/// What dpkg's maintainer scripts call as root, and what no number of one's own can do.
const ANSWERED_WITH_SUCCESS: &[libc::c_long] = &[
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
];

/// Recorded by the supervisor, see [`crate::notify`].
const CHOWN_FAMILY: &[libc::c_long] = &[
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_fchown,
    libc::SYS_fchownat,
];

const WAITS_FOR_THE_DISK: &[libc::c_long] = &[
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync,
    libc::SYS_syncfs,
    libc::SYS_sync_file_range,
];

pub(super) fn rules(emulation: &RootEmulation, syncs: Syncs) -> Vec<Rule> {
    let always = |numbers: &'static [libc::c_long], answer| {
        numbers.iter().map(move |&number| Rule {
            number,
            test: Test::Always,
            answer,
        })
    };
    let mut rules: Vec<Rule> = always(REFUSED, Answer::Errno(libc::EPERM)).collect();
    rules.extend(always(UNKNOWN, Answer::Errno(libc::ENOSYS)));
    rules.extend(namespaces());
    rules.extend(TERMINAL_INJECTION.map(|request| Rule {
        number: libc::SYS_ioctl,
        test: Test::Equals {
            argument: 1,
            mask: u32::MAX,
            value: request,
        },
        answer: Answer::Errno(libc::EPERM),
    }));
    if let RootEmulation::On { .. } = emulation {
        rules.extend(always(ANSWERED_WITH_SUCCESS, Answer::Errno(0)));
        rules.extend(always(CHOWN_FAMILY, Answer::Supervisor));
        rules.extend(device_files());
    }
    if syncs == Syncs::Skipped {
        rules.extend(always(WAITS_FOR_THE_DISK, Answer::Errno(0)));
    }
    rules
}

fn namespaces() -> [Rule; 2] {
    let refused = |number, bits| Rule {
        number,
        test: Test::HasAny { argument: 0, bits },
        answer: Answer::Errno(libc::EPERM),
    };
    [
        refused(libc::SYS_clone, NEW_NAMESPACES),
        refused(libc::SYS_unshare, NEW_NAMESPACES | NEW_TIME_NAMESPACE),
    ]
}

/// Device files alone: named pipes and plain files are everyone's, and really made.
fn device_files() -> impl Iterator<Item = Rule> {
    [(libc::SYS_mknod, 1), (libc::SYS_mknodat, 2)]
        .into_iter()
        .flat_map(|(number, argument)| {
            [libc::S_IFCHR, libc::S_IFBLK].map(|kind| Rule {
                number,
                test: Test::Equals {
                    argument,
                    mask: libc::S_IFMT,
                    value: kind,
                },
                answer: Answer::Errno(0),
            })
        })
}
