/*
 * Reserved huge pages: private and shared anonymous memory, of which not all was touched, a memfd with a position and
 * a private mapping of it, read-only memory, files of hugetlbfs, one of which was deleted, and System V shared memory: attached in part and
 * marked for removal, and attached by nobody. A child has the shared ones, too.
 *
 * Usage: hugetlb [DIRECTORY ON HUGETLBFS]
 */
#include "mem.h"

#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/stat.h>

#ifndef MFD_HUGETLB
#define MFD_HUGETLB 4
#endif
#define HUGE (2UL << 20)

static char *map_huge(size_t pages, int prot, int flags)
{
	char *memory = mmap(NULL, pages * HUGE, prot, flags | MAP_ANONYMOUS | MAP_HUGETLB | 21 << MAP_HUGE_SHIFT, -1, 0);

	if (memory == MAP_FAILED)
		unsupported("no huge pages are free: %s", strerror(errno));
	return memory;
}

static int make_segment(size_t size)
{
	int id = shmget(IPC_PRIVATE, size, IPC_CREAT | SHM_HUGETLB | 21 << MAP_HUGE_SHIFT | 0600);

	if (id < 0)
		die("SHM_HUGETLB");
	return id;
}

static size_t page_size(const void *memory)
{
	char line[512];
	unsigned long start, end, kib = 0;
	bool here = false;
	FILE *smaps = fopen("/proc/self/smaps", "r");

	while (smaps && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start <= (unsigned long)memory && (unsigned long)memory < end;
		else if (here && sscanf(line, "KernelPageSize: %lu", &kib) == 1)
			break;
	}
	if (smaps)
		fclose(smaps);
	return kib << 10;
}

int main(int argc, char **argv)
{
	const int rw = PROT_READ | PROT_WRITE;

	subject_init();
	char *private = map_huge(3, rw, MAP_PRIVATE), *shared = map_huge(2, rw, MAP_SHARED);
	char *lazy = map_huge(64, rw, MAP_PRIVATE | MAP_NORESERVE);
	char *fixed = map_huge(1, rw, MAP_PRIVATE);
	fill_pages(private, HUGE, 1);
	fill_page(private + 2 * HUGE + 5 * PAGE, 2, 0);
	fill_pages(shared + HUGE, 3 * PAGE, 3);
	fill_page(fixed, 4, 0);
	if (mprotect(fixed, HUGE, PROT_READ))
		die("mprotect");
	int fd = memfd_create("huge", MFD_HUGETLB | MFD_ALLOW_SEALING | 21 << MAP_HUGE_SHIFT);
	if (fd < 0 || ftruncate(fd, 4 * HUGE))
		die("memfd_create");
	char *object = map(NULL, 2 * HUGE, rw, MAP_SHARED, fd, HUGE);
	fill_page(object + HUGE + 7 * PAGE, 5, 0);
	char *copy = map(NULL, 2 * HUGE, rw, MAP_PRIVATE, fd, HUGE);
	fill_page(copy + HUGE + 8 * PAGE, 6, 0);
	lseek(fd, 4711, SEEK_SET);
	char *file = NULL, *gone = NULL;
	int open_gone = -1;
	if (argc > 1) {
		char path[512];
		snprintf(path, sizeof(path), "%s/file", argv[1]);
		int opened = open(path, O_RDWR | O_CREAT, 0600);
		if (opened < 0 || ftruncate(opened, HUGE))
			die("%s", path);
		file = map(NULL, HUGE, rw, MAP_SHARED, opened, 0);
		fill_page(file, 7, 0);
		close(opened);
		snprintf(path, sizeof(path), "%s/gone", argv[1]);
		open_gone = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
		if (open_gone < 0 || ftruncate(open_gone, 4 * HUGE))
			die("%s", path);
		gone = map(NULL, 2 * HUGE, rw, MAP_SHARED, open_gone, HUGE);
		fill_page(gone + HUGE + 6 * PAGE, 14, 0);
		unlink(path);
	}
	int segment = make_segment(2 * HUGE - 5 * PAGE), detached = make_segment(HUGE);
	char *attached = shmat(segment, NULL, 0), *aside = shmat(detached, NULL, 0);
	if (attached == (void *)-1 || aside == (void *)-1)
		die("shmat");
	shmctl(segment, IPC_RMID, NULL);
	fill_page(attached + HUGE + 3 * PAGE, 11, 0);
	fill_page(aside + 9 * PAGE, 12, 0);
	shmdt(aside);
	fact("detached", "%d", detached);
	pid_t child = fork_child();
	if (child == 0) {
		wait_for_term();
		check(page_is(shared + HUGE, 8, 0), "child", "what the parent wrote is not there");
		fill_page(object, 9, 0);
		munmap(attached, HUGE);
		fill_page(attached + HUGE + 4 * PAGE, 13, 0);
		child_finish();
	}
	ready();
	wait_for_term();
	check_equal("page size", page_size(private), HUGE);
	check_equal("page size of shared memory", page_size(shared), HUGE);
	check_equal("page size of the memfd", page_size(object), HUGE);
	check_pages("private", private, HUGE, 1);
	check(page_is_zero(private + HUGE) && page_is(private + 2 * HUGE + 5 * PAGE, 2, 0), "private", "it changed");
	check_pages("shared", shared + HUGE, 3 * PAGE, 3);
	check(page_is_zero(shared), "shared", "the untouched page changed");
	check(page_is(fixed, 4, 0), "read-only", "it changed");
	check_perms("read-only permissions", fixed, "r--p");
	check(page_is_zero(lazy + 63 * HUGE), "unreserved", "it is not empty");
	struct stat st;
	fstat(fd, &st);
	check_equal("size of the memfd", st.st_size, 4 * HUGE);
	check_equal("its position", lseek(fd, 0, SEEK_CUR), 4711);
	check(page_is(object + HUGE + 7 * PAGE, 5, 0) && page_is_zero(object), "memfd", "it changed");
	check(page_is(copy + HUGE + 7 * PAGE, 5, 0) && page_is(copy + HUGE + 8 * PAGE, 6, 0), "copy", "it changed");
	fill_page(object + PAGE, 10, 0);
	check(page_is(copy + PAGE, 10, 0), "one file", "a private mapping does not show what is written to it");
	if (file) {
		check(page_is(file, 7, 0), "file", "it changed");
		check_equal("page size of the file", page_size(file), HUGE);
		check(page_is(gone + HUGE + 6 * PAGE, 14, 0) && page_is_zero(gone), "deleted file", "it changed");
		check_equal("page size of the deleted file", page_size(gone), HUGE);
		check(!fstat(open_gone, &st) && st.st_nlink == 0 && st.st_size == 4 * (long)HUGE, "deleted file",
		      "%d links, %ld bytes", (int)st.st_nlink, (long)st.st_size);
		fill_page(gone + PAGE, 15, 0);
		char *again = map(NULL, 4 * HUGE, rw, MAP_SHARED, open_gone, 0);
		check(page_is(again + HUGE + PAGE, 15, 0) && page_is_zero(again + 3 * HUGE), "deleted file",
		      "another mapping does not show it");
	}
	check_equal("page size of the segment", page_size(attached), HUGE);
	check(page_is(attached + HUGE + 3 * PAGE, 11, 0) && page_is_zero(attached), "segment", "it changed");
	aside = shmat(detached, NULL, 0);
	check(aside != (void *)-1 && page_is(aside + 9 * PAGE, 12, 0), "detached segment", "errno %d", errno);
	check_equal("page size of the detached segment", page_size(aside), HUGE);
	shmctl(detached, IPC_RMID, NULL);
	fill_page(shared + HUGE, 8, 0);
	end_child("child", child);
	check(page_is(attached + HUGE + 4 * PAGE, 13, 0), "segment shared with the child", "what it wrote is not there");
	check(page_is(object, 9, 0), "shared with the child", "what the child wrote is not there");
	finish();
}
