/* A filter of eBPF. */
#ifndef EBPF_H
#define EBPF_H

#include "subject.h"

#include <linux/bpf.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* Attaches a filter of eBPF that lets everything through. */
static inline void attach_ebpf(int fd)
{
	struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0xffff },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (unsigned long)code,
		.insn_cnt = 2,
		.license = (unsigned long)"GPL",
	};
	int program = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));

	if (program < 0)
		unsupported("bpf(2)");
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof(program)))
		die("SO_ATTACH_BPF");
	close(program);
}

#endif
