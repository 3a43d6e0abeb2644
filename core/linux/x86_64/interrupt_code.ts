/**
 * The machine code of a signal handler that makes some system calls give up: where the signal interrupted one
 * of them while it was waiting, the call returns EINTR, instead of being begun again by the kernel.
 *
 * - PTRACE_SEIZE, which the kernel always begins again (ERESTARTNOINTR, `ptrace_attach()` of
 *   `kernel/ptrace.c`);
 * - waitid(2) with {@link LOOK_FOR_ALL} and wait4(2) with the options `__WALL` alone, as this project waits for what a
 *   tracee does next.
 *
 * A call that is begun again shows in the interrupted context: `rip` stands at its `syscall` instruction, and
 * `rax` holds its number (`handle_signal()` of `arch/x86/kernel/signal.c`). A call that was just about to be
 * made looks the same, and gives up too. Everything else is left as it was, so the handler may be
 * installed with SA_RESTART and may interrupt whatever this process does.
 *
 * The interrupted code is looked at last, when the registers say that it is one of these calls: V8's own code has a
 * protection key where the processor knows them, and handlers begin with a PKRU that denies them all keys but the
 * first (`fpu__clear_user_states()` of `arch/x86/kernel/fpu/core.c`).
 *
 * The context is a `ucontext_t`, in `rdx`, whose registers begin at byte 40 in the order of `REG_*` of
 * `sys/ucontext.h`.
 *
 * @module
 */

/** Offsets of registers in a `ucontext_t` of x86-64, in bytes. */
export const CONTEXT = { r10: 56, rdi: 104, rdx: 136, rax: 144, rip: 168 } as const;

/** Options of waitid(2): WEXITED | WSTOPPED | WNOWAIT | __WALL. */
export const LOOK_FOR_ALL = 0x4 | 0x2 | 0x01000000 | 0x40000000;

/** Where in the code the restorer lies, to which the handler returns: it calls rt_sigreturn(2). */
export const RESTORER_AT = 0x60;

/** The code. The handler, `void (int signal, siginfo_t *, ucontext_t *)`, lies at its beginning. */
// deno-fmt-ignore
export const GIVE_UP_CODE: Uint8Array = new Uint8Array([
  0x48, 0x8b, 0x82, 0x90, 0x00, 0x00, 0x00,             // 00 mov rax, [rdx+144]      ; rax
  0x48, 0x83, 0xf8, 0x3d,                               // 07 cmp rax, 61             ; wait4
  0x75, 0x0d,                                           // 0b jne second
  0x81, 0xba, 0x88, 0x00, 0x00, 0x00, 0, 0, 0, 0x40,    // 0d cmp dword [rdx+136], 0x40000000 ; rdx: __WALL
  0x74, 0x22,                                           // 17 je look
  0xc3,                                                 // 19 ret
  0x48, 0x83, 0xf8, 0x65,                               // 1a second: cmp rax, 101    ; ptrace
  0x75, 0x0a,                                           // 1e jne third
  0x81, 0x7a, 0x68, 0x06, 0x42, 0x00, 0x00,             // 20 cmp dword [rdx+104], 0x4206 ; rdi: PTRACE_SEIZE
  0x74, 0x12,                                           // 27 je look
  0xc3,                                                 // 29 ret
  0x48, 0x3d, 0xf7, 0x00, 0x00, 0x00,                   // 2a third: cmp rax, 247     ; waitid
  0x75, 0x2a,                                           // 30 jne done
  0x81, 0x7a, 0x38, 0x06, 0x00, 0x00, 0x41,             // 32 cmp dword [rdx+56], 0x41000006 ; r10: LOOK_FOR_ALL
  0x75, 0x21,                                           // 39 jne done
  0x48, 0x8b, 0x8a, 0xa8, 0x00, 0x00, 0x00,             // 3b look: mov rcx, [rdx+168] ; rip
  0x66, 0x81, 0x39, 0x0f, 0x05,                         // 42 cmp word [rcx], 0x050f  ; syscall?
  0x75, 0x13,                                           // 47 jne done
  0x48, 0x83, 0x82, 0xa8, 0x00, 0x00, 0x00, 0x02,       // 49 add qword [rdx+168], 2
  0x48, 0xc7, 0x82, 0x90, 0x00, 0x00, 0x00,             // 51 mov qword [rdx+144], -4 ; -EINTR
  0xfc, 0xff, 0xff, 0xff,
  0xc3,                                                 // 5c done: ret
  0xcc, 0xcc, 0xcc,                                     // 5d
  0xb8, 0x0f, 0x00, 0x00, 0x00,                         // 60 mov eax, 15             ; rt_sigreturn
  0x0f, 0x05,                                           // 65 syscall
]);
