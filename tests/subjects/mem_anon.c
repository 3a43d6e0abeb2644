/*
 * Private anonymous memory: full, sparse, untouched, read but never written, all permissions.
 * Usage: mem_anon [MIB=2] [forked]
 *
 * With "forked" it is in small pages, which fork(2) takes its time for, and there is a ring of io_setup(2), with which a
 * snapshot holds memory by fork(2) rather than copy it before.
 */
#include "mem.h"

#include <linux/aio_abi.h>

int main(int argc, char **argv)
{
	size_t len = atol(arg(argc, argv, 1, "2")) << 20;
	int rw = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;

	subject_init();
	aio_context_t context = 0;

	if (argc > 2 && syscall(SYS_io_setup, 1, &context) < 0)
		die("io_setup");
	char *full = map(NULL, len, rw, flags, -1, 0);
	if (argc > 2)
		madvise(full, len, MADV_NOHUGEPAGE);
	char *sparse = map(NULL, 64 * PAGE, rw, flags, -1, 0);
	char *untouched = map(NULL, 64 * PAGE, rw, flags, -1, 0);
	char *zero = map(NULL, 16 * PAGE, rw, flags, -1, 0);
	char *readonly = map(NULL, 4 * PAGE, rw, flags, -1, 0);
	char *code = map(NULL, PAGE, rw, flags, -1, 0);
	char *noreserve = map(NULL, 1UL << 36, rw, flags | MAP_NORESERVE, -1, 0);
	char *split = map(NULL, 3 * PAGE, rw, flags, -1, 0);

	fill_pages(full, len, 1);
	for (int i = 0; i < 64; i += 7)
		fill_page(sparse + i * PAGE, 2, i * PAGE);
	for (int i = 0; i < 16; i++)
		*(volatile char *)(zero + i * PAGE) = 0; /* written, yet zero */
	fill_pages(readonly, 4 * PAGE, 3);
	mprotect(readonly, 4 * PAGE, PROT_READ);
	memcpy(code, "\xb8\x2a\x00\x00\x00\xc3", 6); /* mov $42, %eax; ret */
	mprotect(code, PAGE, PROT_READ | PROT_EXEC);
	fill_page(noreserve + (1UL << 35), 4, 0);
	fill_pages(split, 3 * PAGE, 5);
	mprotect(split + PAGE, PAGE, PROT_READ);

	fact("full", "%p", (void *)full);
	fact("sparse", "%p", (void *)sparse);
	fact("untouched", "%p", (void *)untouched);
	fact("noreserve", "%p", (void *)noreserve);
	ready();
	wait_for_term();

	struct mapping m;
	bool good = true;
	check_pages("full", full, len, 1);
	for (int i = 0; i < 64; i++)
		good &= i % 7 ? page_is_zero(sparse + i * PAGE) : page_is(sparse + i * PAGE, 2, i * PAGE);
	check(good, "sparse", "a page changed");
	/* Before it is read for the first time; a neighbour of the same kind may have merged with it. */
	unsigned char there[64];
	mincore(untouched, 64 * PAGE, there);
	int count = 0;
	for (int i = 0; i < 64; i++)
		count += there[i] & 1;
	check_equal("untouched pages that exist", count, 0);
	for (int i = 0; i < 64; i++)
		good &= page_is_zero(untouched + i * PAGE) && page_is_zero(zero + (i % 16) * PAGE);
	check(good, "zero pages", "a page is not zero");
	check_pages("read-only", readonly, 4 * PAGE, 3);
	check_perms("read-only permissions", readonly, "r--p");
	check_perms("code permissions", code, "r-xp");
	check_equal("code runs", ((int (*)(void))code)(), 42);
	check(page_is(noreserve + (1UL << 35), 4, 0), "64 GiB, one page used", "it changed");
	check(mapping_of(noreserve, &m) && strstr(m.flags, " nr"), "no reserve", "flags%s", m.flags);
	check_pages("split", split, 3 * PAGE, 5);
	check_perms("split permissions", split + PAGE, "r--p");
	check_perms("split permissions after", split + 2 * PAGE, "rw-p");
	/* The memory can still be used, not only read. */
	fill_pages(full, len, 6);
	check_pages("written again", full, len, 6);
	finish();
}
