/* Memfds with seals that forbid mappings or writes, and mappings from before. */
#include "mem.h"

#include <sys/stat.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif

static int make(const char *name, unsigned flags)
{
	int fd = memfd_create(name, flags);

	if (fd < 0 || ftruncate(fd, 3 * PAGE))
		die("memfd_create");
	return fd;
}

int main(void)
{
	int rw = PROT_READ | PROT_WRITE;

	subject_init();
	int future = make("future", MFD_ALLOW_SEALING);
	char *writable = map(NULL, 3 * PAGE, rw, MAP_SHARED, future, 0);
	fill_pages(writable, 3 * PAGE, 1);
	if (fcntl(future, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL))
		die("F_SEAL_FUTURE_WRITE");
	char *readable = map(NULL, 3 * PAGE, PROT_READ, MAP_SHARED, future, 0);

	int written = make("written", MFD_ALLOW_SEALING);
	char page[PAGE];
	fill_page(page, 2, 0);
	if (pwrite(written, page, PAGE, 0) != (ssize_t)PAGE)
		die("pwrite");
	if (fcntl(written, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW))
		die("F_SEAL_WRITE");
	char *private = map(NULL, 3 * PAGE, rw, MAP_PRIVATE, written, 0);
	private[PAGE] = 7;
	char *shared = mmap(NULL, 3 * PAGE, PROT_READ, MAP_SHARED, written, 0);

	int odd = memfd_create("odd size", 0);
	if (odd < 0 || pwrite(odd, "0123456789", 10, PAGE) != 10 || fchmod(odd, 0600))
		die("odd size");
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", odd);
	int reopened = open(path, O_RDONLY);
	if (reopened < 0)
		die("reopen");
	lseek(reopened, PAGE + 3, SEEK_SET);
	ready();
	wait_for_term();

	check_equal("seals", fcntl(future, F_GET_SEALS), F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
	check_equal("seals of the second", fcntl(written, F_GET_SEALS), F_SEAL_WRITE | F_SEAL_GROW);
	check_equal("seals of the third", fcntl(odd, F_GET_SEALS), F_SEAL_SEAL);
	check_pages("contents", writable, 3 * PAGE, 1);
	fill_page(writable, 9, 0);
	check(page_is(readable, 9, 0), "one object", "a write does not show in the second mapping");
	check(mprotect(readable, PAGE, rw) < 0, "a later mapping", "it can be made writable");
	check(mmap(NULL, PAGE, rw, MAP_SHARED, future, 0) == MAP_FAILED, "the seal", "it does not hold");
	check(page_is(private, 2, 0) && private[PAGE] == 7, "private mapping", "it changed");
	if (shared != MAP_FAILED)
		check(page_is(shared, 2, 0) && mprotect(shared, PAGE, rw) < 0, "sealed mapping",
		      "it changed or can be made writable");
	char text[11] = "";
	struct stat st;
	fstat(odd, &st);
	check_equal("odd size", st.st_size, PAGE + 10);
	check_equal("mode", st.st_mode & 0777, 0600);
	check(read(reopened, text, 10) == 7 && !strcmp(text, "3456789"), "second description", "%s", text);
	check(write(reopened, "x", 1) < 0, "read-only description", "it can be written to");
	finish();
}
