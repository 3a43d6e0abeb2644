/*
 * The extended registers of a thread that never leaves user mode: x87, MMX's place in it, SSE, AVX,
 * AVX-512 (opmasks and the upper halves too), MXCSR and the x87 control word, as far as the CPU has
 * them. Each round of a busy loop fills them, spins, and compares every byte.
 */
#include "subject.h"

#include <cpuid.h>
#include <stddef.h>

#define SPIN 20000

struct regs {
	uint8_t zmm[32][64];
	uint64_t opmask[8];
	uint8_t st[8][16];
	uint32_t mxcsr;
	uint16_t control;
};

static struct regs want, got;
static volatile long rounds, wrong;
static char first_wrong[64];

static bool has_avx, has_avx512;

static void look_at_cpu(void)
{
	unsigned a, b, c, d, low, high;

	__cpuid(1, a, b, c, d);
	if (!(c & bit_OSXSAVE))
		return;
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	has_avx = (c & bit_AVX) && (low & 6) == 6;
	__cpuid_count(7, 0, a, b, c, d);
	has_avx512 = has_avx && (b & bit_AVX512F) && (b & bit_AVX512BW) && (low & 0xe6) == 0xe6;
}

#define EACH8(X, base) X(base##0) X(base##1) X(base##2) X(base##3) X(base##4) X(base##5) X(base##6) X(base##7)
#define EACH16(X) EACH8(X, ) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define EACH32(X) EACH16(X) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) \
	X(28) X(29) X(30) X(31)
#define LOAD_XMM(n) "movdqu " #n "*64(%0), %%xmm" #n "\n"
#define SAVE_XMM(n) "movdqu %%xmm" #n ", " #n "*64(%1)\n"
#define LOAD_YMM(n) "vmovdqu " #n "*64(%0), %%ymm" #n "\n"
#define SAVE_YMM(n) "vmovdqu %%ymm" #n ", " #n "*64(%1)\n"
#define LOAD_ZMM(n) "vmovdqu64 " #n "*64(%0), %%zmm" #n "\n"
#define SAVE_ZMM(n) "vmovdqu64 %%zmm" #n ", " #n "*64(%1)\n"
#define LOAD_K(n) "kmovq 2048+" #n "*8(%0), %%k" #n "\n"
#define SAVE_K(n) "kmovq %%k" #n ", 2048+" #n "*8(%1)\n"
/* The x87 stack: eight loads, and eight stores that pop in reverse. */
#define X87_LOAD "fninit\nfldcw 2244(%0)\n" \
	"fldt 2112(%0)\nfldt 2128(%0)\nfldt 2144(%0)\nfldt 2160(%0)\n" \
	"fldt 2176(%0)\nfldt 2192(%0)\nfldt 2208(%0)\nfldt 2224(%0)\n"
#define X87_SAVE "fnstcw 2244(%1)\n" \
	"fstpt 2224(%1)\nfstpt 2208(%1)\nfstpt 2192(%1)\nfstpt 2176(%1)\n" \
	"fstpt 2160(%1)\nfstpt 2144(%1)\nfstpt 2128(%1)\nfstpt 2112(%1)\nfninit\n"
#define SPIN_HERE "mov %2, %%ecx\n1: dec %%ecx\njnz 1b\n"
#define ROUND(load, save) \
	__asm__ volatile("ldmxcsr 2240(%0)\n" X87_LOAD load SPIN_HERE save X87_SAVE \
			 "stmxcsr 2240(%1)\nldmxcsr %3\n" \
			 : : "r"(&want), "r"(&got), "i"(SPIN), "m"(default_mxcsr) : "rcx", "memory", "cc")

_Static_assert(offsetof(struct regs, opmask) == 2048 && offsetof(struct regs, st) == 2112 &&
	       offsetof(struct regs, mxcsr) == 2240 && offsetof(struct regs, control) == 2244,
	       "the offsets that the assembly uses");

static const uint32_t default_mxcsr = 0x1f80;

/* Not inlined, and without vector code around: the compiler must not keep anything in a register. */
static __attribute__((noinline, target("no-avx,no-sse3"))) void one_round(void)
{
	if (has_avx512)
		ROUND(EACH32(LOAD_ZMM) EACH8(LOAD_K, ), EACH32(SAVE_ZMM) EACH8(SAVE_K, ) "vzeroupper\n");
	else if (has_avx)
		ROUND(EACH16(LOAD_YMM), EACH16(SAVE_YMM) "vzeroupper\n");
	else
		ROUND(EACH16(LOAD_XMM), EACH16(SAVE_XMM));
}

static void fill(long round)
{
	int width = has_avx512 ? 64 : has_avx ? 32 : 16, count = has_avx512 ? 32 : 16;

	memset(&want, 0, sizeof(want));
	for (int r = 0; r < count; r++)
		for (int i = 0; i < width; i++)
			want.zmm[r][i] = r * 67 + i * 31 + round * 7 + 1;
	for (int k = 0; has_avx512 && k < 8; k++)
		want.opmask[k] = 0x9e3779b97f4a7c15u * (k + 1) + round;
	for (int r = 0; r < 8; r++) {
		/* A normal number: the integer bit set, an exponent near the middle. */
		uint64_t mantissa = 0x8000000000000000u | (0x123456789abcdefu * (r + 3) + round);
		uint16_t exponent = 0x3fff + r;
		memcpy(want.st[r], &mantissa, 8);
		memcpy(want.st[r] + 8, &exponent, 2);
	}
	want.mxcsr = round % 2 ? 0x5f80 : 0x9fc0; /* rounding up, or down with denormals as zero */
	want.control = round % 2 ? 0x077f : 0x0b7f; /* rounding down, up */
	memset(&got, 0, sizeof(got));
}

static void compare(void)
{
	const uint8_t *w = (const uint8_t *)&want, *g = (const uint8_t *)&got;

	rounds++;
	if (!memcmp(w, g, sizeof(want)) || wrong++)
		return;
	for (size_t i = 0; i < sizeof(want); i++)
		if (w[i] != g[i]) {
			snprintf(first_wrong, sizeof(first_wrong), "byte %zu: %#x instead of %#x", i, g[i],
				 w[i]);
			return;
		}
}

int main(void)
{
	subject_init();
	look_at_cpu();
	fact("width", "%d", has_avx512 ? 64 : has_avx ? 32 : 16);
	fill(0);
	one_round();
	compare();
	if (wrong)
		die("the first round is wrong already: %s", first_wrong);
	ready();
	while (!term_requested) {
		fill(rounds);
		one_round();
		compare();
	}
	check(wrong == 0 && rounds > 1, "extended registers", "%ld of %ld rounds wrong; %s", wrong, rounds,
	      first_wrong);
	finish();
}
