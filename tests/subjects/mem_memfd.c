/*
 * memfd: shared and private mappings of it, its descriptor with position, its size with a hole, its
 * seals and its name; one is held only by a mapping, one only by a descriptor.
 */
#include "mem.h"

int main(void)
{
	char page[PAGE];

	subject_init();
	int fd = memfd_create("stasis subject", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 16 * PAGE))
		die("memfd_create");
	char *shared = map(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	fill_pages(shared, 4 * PAGE, 1);
	fill_page(shared + 15 * PAGE, 2, 0);
	char *private = map(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	fill_page(private + PAGE, 3, 0);
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW))
		die("F_ADD_SEALS");
	lseek(fd, 1234, SEEK_SET);

	int mapped_only = memfd_create("mapped only", 0);
	if (mapped_only < 0 || ftruncate(mapped_only, 2 * PAGE))
		die("memfd_create");
	char *m = map(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, mapped_only, 0);
	fill_pages(m, 2 * PAGE, 4);
	close(mapped_only);

	int fd_only = memfd_create("descriptor only", 0);
	fill_page(page, 5, 0);
	if (fd_only < 0 || write(fd_only, page, PAGE) != (ssize_t)PAGE)
		die("memfd_create");
	ready();
	wait_for_term();

	char path[64], link[128] = "";
	struct mapping found;
	check_pages("shared pages", shared, 4 * PAGE, 1);
	check(page_is_zero(shared + 9 * PAGE) && page_is(shared + 15 * PAGE, 2, 0), "hole", "it changed");
	check(page_is(private, 1, 0) && page_is(private + PAGE, 3, 0), "private pages", "they changed");
	check_perms("private permissions", private, "rw-p");
	check_equal("size", lseek(fd, 0, SEEK_CUR) == 1234 ? lseek(fd, 0, SEEK_END) : -1, 16 * PAGE);
	check_equal("seals", fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW);
	check_equal("close-on-exec", fcntl(fd, F_GETFD), FD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, link, sizeof(link) - 1) < 0)
		link[0] = 0;
	check(!strcmp(link, "/memfd:stasis subject (deleted)"), "name", "%s", link);
	fill_page(page, 6, 0);
	check(pwrite(fd, page, PAGE, 2 * PAGE) == (ssize_t)PAGE && page_is(shared + 2 * PAGE, 6, 0) &&
		      page_is(private + 2 * PAGE, 6, 0),
	      "one file behind all", "a write to the descriptor does not show in the mappings");
	check_pages("held by a mapping", m, 2 * PAGE, 4);
	check(mapping_of(m, &found) && strstr(found.path, "/memfd:mapped only"), "its name", "%s",
	      found.path);
	check(pread(fd_only, page, PAGE, 0) == (ssize_t)PAGE && page_is(page, 5, 0) &&
		      lseek(fd_only, 0, SEEK_CUR) == (off_t)PAGE,
	      "held by a descriptor", "contents or position changed");
	finish();
}
