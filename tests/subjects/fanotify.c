/*
 * fanotify: groups with their flags and marks: on a file that was renamed, on one that was deleted, on a directory and its children, with events
 * that are ignored, on a mount, on a file system.
 */
#include "files.h"

#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#ifndef FAN_REPORT_FID
#define FAN_REPORT_FID 0x200
#endif

static char before[8192], after[8192];

/* The lines of what a group watches. */
static void look(int fd, char *text, size_t size)
{
	char path[64], line[512];
	size_t used = strlen(text);

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, "fanotify", 8))
			used += snprintf(text + used, size - used, "%s", line);
	if (file)
		fclose(file);
}

static void mark(int fd, unsigned flags, uint64_t mask, const char *path)
{
	if (fanotify_mark(fd, FAN_MARK_ADD | flags, mask, AT_FDCWD, path))
		die("fanotify_mark(%s)", path);
}

static void make(const char *name)
{
	close(open(name, O_CREAT | O_WRONLY, 0600));
}

/* Reads one event and compares it, and the file that it comes with. */
static void expect(const char *what, int fd, uint64_t mask, const char *name)
{
	char data[4096], path[64], found[4096] = "";
	struct fanotify_event_metadata *event = (void *)data;

	if (!check(read(fd, data, sizeof(data)) >= (ssize_t)sizeof(*event), what, "errno %d", errno))
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", event->fd);
	if (readlink(path, found, sizeof(found) - 1) < 0)
		die("readlink");
	char *slash = strrchr(found, '/');
	check(event->mask == mask && slash && !strcmp(slash + 1, name), what, "events %#llx of %s",
	      (unsigned long long)event->mask, found);
	close(event->fd);
}

int main(void)
{
	subject_init();
	int fd = fanotify_init(FAN_CLOEXEC | FAN_NONBLOCK | FAN_CLASS_NOTIF, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		unsupported("fanotify_init: errno %d", errno);
	int content = fanotify_init(FAN_CLASS_CONTENT | FAN_UNLIMITED_QUEUE, O_RDWR | O_LARGEFILE);
	int handles = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY);
	make("file");
	make("quiet");
	mkdir("dir", 0700);
	make("dir/child");
	mark(fd, 0, FAN_CLOSE_WRITE | FAN_OPEN, "file");
	mark(fd, 0, FAN_CLOSE_WRITE | FAN_ONDIR | FAN_EVENT_ON_CHILD, "dir");
	mark(fd, 0, FAN_CLOSE_WRITE, "quiet");
	mark(fd, FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_CLOSE_WRITE, "quiet");
	rename("file", "renamed");
	mark(content, FAN_MARK_MOUNT, FAN_CLOSE_WRITE, "/sys");
	if (handles >= 0)
		mark(handles, FAN_MARK_FILESYSTEM, FAN_DELETE_SELF, "/dev/shm");
	/* Under a number that the test knows: its file is made anew, and is another inode. */
	int made = fanotify_init(FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY | O_CLOEXEC), unlinked = dup2(made, 50);
	close(made);
	int gone = open("gone", O_CREAT | O_RDWR, 0600);
	mark(unlinked, 0, FAN_MODIFY, "gone");
	unlink("gone");
	look(fd, before, sizeof(before));
	look(content, before, sizeof(before));
	if (handles >= 0)
		look(handles, before, sizeof(before));
	ready();
	wait_for_term();

	look(fd, after, sizeof(after));
	look(content, after, sizeof(after));
	if (handles >= 0)
		look(handles, after, sizeof(after));
	check(!strcmp(before, after), "marks", "%s instead of %s", after, before);
	check_equal("flags", fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	check_equal("close-on-exec", fcntl(fd, F_GETFD), FD_CLOEXEC);
	int waiting = -1;
	ioctl(fd, FIONREAD, &waiting);
	check_equal("nothing is told yet", waiting, 0);
	int file = open("renamed", O_WRONLY);
	expect("a file is opened", fd, FAN_OPEN, "renamed");
	close(file);
	expect("a file is closed", fd, FAN_CLOSE_WRITE, "renamed");
	if (write(gone, "x", 1) != 1)
		die("write");
	expect("a deleted file is written to", unlinked, FAN_MODIFY, "gone (deleted)");
	make("dir/child");
	expect("a child is closed", fd, FAN_CLOSE_WRITE, "child");
	make("quiet");
	check(read(fd, before, sizeof(before)) == -1 && errno == EAGAIN, "what is ignored", "is told");
	finish();
}
