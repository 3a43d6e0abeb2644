/* A 64-bit program that runs 32-bit code: it loops there until SIGTERM, and comes back. */
#include "../../subjects/subject.h"

#include <sys/mman.h>

#define CODE64 0x33 /* __USER_CS */

static volatile char *flag;

static void on_term_low(int sig)
{
	(void)sig;
	*flag = 1;
}

/* far_call(code, stack): jumps to 32-bit code with a stack below 4 GiB; the code jumps to `back`. */
void far_call(void *code, void *stack);
extern char far_back[];
__asm__(".text\n"
	".globl far_call\n"
	"far_call:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	mov %rsp, saved_stack(%rip)\n"
	"	mov %rsi, %rsp\n"
	"	mov $0x2b, %eax\n" /* __USER_DS: 64-bit code does without, 32-bit code does not */
	"	mov %eax, %ds\n"
	"	pushq $0x23\n" /* __USER32_CS */
	"	push %rdi\n"
	"	lretq\n"
	".globl far_back\n"
	"far_back:\n"
	"	xor %eax, %eax\n"
	"	mov %eax, %ds\n"
	"	mov saved_stack(%rip), %rsp\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n"
	".local saved_stack\n"
	".comm saved_stack, 8, 8\n");

int main(void)
{
	struct sigaction act = { .sa_handler = on_term_low };

	subject_init();
	sigaction(SIGTERM, &act, NULL);
	unsigned char *low = mmap(NULL, 65536, PROT_READ | PROT_WRITE | PROT_EXEC,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (low == MAP_FAILED)
		die("mmap");
	flag = (char *)low + 4096;
	uint32_t flag32 = (uint32_t)(uintptr_t)flag, land = (uint32_t)(uintptr_t)(low + 16);
	unsigned char *p = low;
	*p++ = 0xa0; memcpy(p, &flag32, 4); p += 4; /* mov al, [flag] */
	*p++ = 0x84; *p++ = 0xc0;		    /* test al, al */
	*p++ = 0x74; *p++ = 0xf7;		    /* jz to the start */
	*p++ = 0xea; memcpy(p, &land, 4); p += 4;   /* jmp 0x33:land */
	*p++ = CODE64; *p++ = 0;
	uint64_t back = (uintptr_t)far_back;
	*p++ = 0x48; *p++ = 0xb8; memcpy(p, &back, 8); p += 8; /* movabs rax, far_back */
	*p++ = 0xff; *p++ = 0xe0;			       /* jmp rax */
	ready();
	far_call(low, low + 65536 - 64);
	check(*flag == 1, "it came back", "-");
	finish();
}
