//! From rules to classic BPF, as `seccomp(2)` takes it.
//!
//! ```text
//! arch != x86-64      -> kill            nr >= 0x40000000 (x32) -> ENOSYS
//! nr == rule.number   -> [test of one argument's low half] -> rule.answer
//! otherwise           -> allow
//! ```
//!
//! The kernel keeps a table of numbers that are always allowed, so that the length of the list costs nothing.

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W,
    SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_USER_NOTIF,
    sock_filter,
};

/// `AUDIT_ARCH_X86_64`: EM_X86_64, 64 bits, little-endian.
const ARCHITECTURE: u32 = 0xC000_003E;
/// Numbers from here on belong to the x32 interface, which would go around every rule.
const X32: u32 = 0x4000_0000;

const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCHITECTURE: u32 = 4;
const OFFSET_ARGUMENTS: u32 = 16;

/// What happens to one system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) number: libc::c_long,
    pub(super) test: Test,
    pub(super) answer: Answer,
}

/// When it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    Always,
    /// The low half of this argument, masked, is this value.
    Equals {
        argument: u32,
        mask: u32,
        value: u32,
    },
    /// The low half of this argument has one of these bits.
    HasAny {
        argument: u32,
        bits: u32,
    },
}

/// What the program sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// This error; 0 is success.
    Errno(i32),
    /// What the supervisor says.
    Supervisor,
}

pub(super) fn assemble(rules: &[Rule]) -> Vec<sock_filter> {
    let mut program = vec![
        load(OFFSET_ARCHITECTURE),
        jump(BPF_JEQ, ARCHITECTURE, 1, 0),
        answer(SECCOMP_RET_KILL_PROCESS),
        load(OFFSET_NUMBER),
        jump(BPF_JGE, X32, 0, 1),
        answer(SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
    ];
    for rule in rules {
        let body = body(rule);
        program.push(jump(BPF_JEQ, rule.number as u32, 0, body.len() as u8));
        program.extend(body);
    }
    program.push(answer(SECCOMP_RET_ALLOW));
    program
}

/// What follows when the number is the rule's. It leaves the number loaded if it falls through.
fn body(rule: &Rule) -> Vec<sock_filter> {
    let verdict = answer(match rule.answer {
        Answer::Errno(errno) => SECCOMP_RET_ERRNO | errno as u32,
        Answer::Supervisor => SECCOMP_RET_USER_NOTIF,
    });
    match rule.test {
        Test::Always => vec![verdict],
        Test::Equals {
            argument,
            mask,
            value,
        } => vec![
            load(OFFSET_ARGUMENTS + 8 * argument),
            instruction(BPF_ALU | BPF_AND | BPF_K, mask, 0, 0),
            jump(BPF_JEQ, value, 0, 1),
            verdict,
            load(OFFSET_NUMBER),
        ],
        Test::HasAny { argument, bits } => vec![
            load(OFFSET_ARGUMENTS + 8 * argument),
            instruction(BPF_ALU | BPF_AND | BPF_K, bits, 0, 0),
            jump(BPF_JEQ, 0, 1, 0),
            verdict,
            load(OFFSET_NUMBER),
        ],
    }
}

fn load(offset: u32) -> sock_filter {
    instruction(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0)
}

fn jump(test: u32, value: u32, if_true: u8, if_false: u8) -> sock_filter {
    instruction(BPF_JMP | test | BPF_K, value, if_true, if_false)
}

fn answer(verdict: u32) -> sock_filter {
    instruction(BPF_RET | BPF_K, verdict, 0, 0)
}

fn instruction(code: u32, value: u32, if_true: u8, if_false: u8) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt: if_true,
        jf: if_false,
        k: value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the few instructions that [`assemble`] uses.
    fn run(program: &[sock_filter], architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend(number.to_le_bytes());
        data.extend(architecture.to_le_bytes());
        data.extend([0; 8]);
        data.extend(arguments.iter().flat_map(|argument| argument.to_le_bytes()));
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let step = &program[at];
            at += 1;
            let code = u32::from(step.code);
            let branch = |taken: bool| usize::from(if taken { step.jt } else { step.jf });
            if code == BPF_LD | BPF_W | BPF_ABS {
                let offset = step.k as usize;
                accumulator = u32::from_le_bytes(data[offset..offset + 4].try_into().unwrap());
            } else if code == BPF_ALU | BPF_AND | BPF_K {
                accumulator &= step.k;
            } else if code == BPF_JMP | BPF_JEQ | BPF_K {
                at += branch(accumulator == step.k);
            } else if code == BPF_JMP | BPF_JGE | BPF_K {
                at += branch(accumulator >= step.k);
            } else {
                assert_eq!(code, BPF_RET | BPF_K);
                return step.k;
            }
        }
    }

    #[test]
    fn assemble_answers_each_call() {
        let rules = [
            Rule {
                number: 10,
                test: Test::Always,
                answer: Answer::Errno(1),
            },
            Rule {
                number: 20,
                test: Test::HasAny {
                    argument: 0,
                    bits: 0x30,
                },
                answer: Answer::Errno(2),
            },
            Rule {
                number: 20,
                test: Test::Equals {
                    argument: 1,
                    mask: 0xF0,
                    value: 0x20,
                },
                answer: Answer::Supervisor,
            },
            Rule {
                number: 30,
                test: Test::Always,
                answer: Answer::Errno(0),
            },
        ];
        let program = assemble(&rules);
        let errno = |number: u32| SECCOMP_RET_ERRNO | number;
        let cases = [
            ((ARCHITECTURE, 1, [0; 6]), SECCOMP_RET_ALLOW),
            ((ARCHITECTURE, 10, [0; 6]), errno(1)),
            ((ARCHITECTURE, 30, [0; 6]), errno(0)),
            // Either bit is enough; the high half of the argument does not count.
            ((ARCHITECTURE, 20, [0x10, 0, 0, 0, 0, 0]), errno(2)),
            (
                (ARCHITECTURE, 20, [0xFF_0000_0020, 0, 0, 0, 0, 0]),
                errno(2),
            ),
            // The first rule for a number falls through to the second.
            (
                (ARCHITECTURE, 20, [0x0F, 0x2F, 0, 0, 0, 0]),
                SECCOMP_RET_USER_NOTIF,
            ),
            (
                (ARCHITECTURE, 20, [0x0F, 0x3F, 0, 0, 0, 0]),
                SECCOMP_RET_ALLOW,
            ),
            // x32 and other architectures.
            (
                (ARCHITECTURE, X32 | 0xA, [0; 6]),
                errno(libc::ENOSYS as u32),
            ),
            ((0x4000_0003, 10, [0; 6]), SECCOMP_RET_KILL_PROCESS),
        ];
        for ((architecture, number, arguments), expected) in cases {
            assert_eq!(
                run(&program, architecture, number, arguments),
                expected,
                "call {number} {arguments:x?}"
            );
        }
    }
}
