/*
 * inotify: watches with their numbers, events and flags, on a directory, on a file that was renamed, on a symbolic
 * link itself; an instance that a child shares, and one that a child waits to read from.
 */
#include "files.h"

#include <sys/inotify.h>

static char before[4096], after[4096];

/* The lines of what an instance watches. */
static void look(int fd, char *text, size_t size)
{
	char path[64], line[512];
	size_t used = strlen(text);

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, "inotify", 7)) {
			/* Without the inode: a deleted file is made anew. */
			char *mask = strstr(line, " mask:");
			used += snprintf(text + used, size - used, "%.*s%.*s\n", (int)(strstr(line, " ino:") - line), line,
					 (int)strcspn(mask + 1, " ") + 1, mask);
		}
	if (file)
		fclose(file);
}

static int add(int fd, const char *path, uint32_t mask)
{
	int wd = inotify_add_watch(fd, path, mask);

	if (wd < 0)
		die("%s", path);
	return wd;
}

static void make(const char *name)
{
	close(open(name, O_CREAT | O_WRONLY, 0600));
}

/* Reads one event and compares it. */
static void expect(const char *what, int fd, int wd, uint32_t mask, const char *name)
{
	/* Room for one: a name is filled up to sixteen bytes. */
	char data[sizeof(struct inotify_event) + 16] = "";
	struct inotify_event *event = (void *)data;

	if (!check(read(fd, data, *name ? sizeof(data) : sizeof(*event)) > 0, what, "errno %d", errno))
		return;
	check(event->wd == wd && event->mask == mask && !strcmp(event->len ? event->name : "", name), what,
	      "watch %d, events %#x, name %s", event->wd, event->mask, event->len ? event->name : "");
}

int main(void)
{
	subject_init();
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), waited = inotify_init(), empty = inotify_init1(0);
	make("gone"), make("old"), make("once"), make("linked"), make("waited"), make("many");
	mkdir("dir", 0700);
	if (symlink("linked", "link"))
		die("symlink");
	int dir = add(fd, "dir", IN_CREATE | IN_DELETE | IN_ONLYDIR | IN_EXCL_UNLINK);
	int gone = add(fd, "gone", IN_MODIFY);
	int renamed = add(fd, "old", IN_MODIFY | IN_ATTRIB);
	int once = add(fd, "once", IN_ATTRIB | IN_ONESHOT);
	int link = add(fd, "link", IN_DONT_FOLLOW | IN_ATTRIB);
	int deleted = open("deleted", O_CREAT | O_RDWR, 0600), unlinked = add(fd, "deleted", IN_MODIFY);
	int nothing = add(fd, "linked", IN_DONT_FOLLOW);
	/* Numbers go up, whatever has been removed. */
	for (int i = 0; i < 2000; i++)
		inotify_rm_watch(fd, add(fd, "many", IN_OPEN));
	int far = add(fd, "many", IN_OPEN | IN_CLOSE);
	if (unlink("deleted"))
		die("unlink");
	if (far < 2000 || inotify_rm_watch(fd, gone) || rename("old", "dir/new"))
		die("set-up");
	char drop[4096];
	while (read_now(fd, drop, sizeof(drop)) > 0)
		;
	int wd = add(waited, "waited", IN_ALL_EVENTS);
	pid_t child = fork_child();
	if (child == 0) {
		expect("child: waits for an event", waited, wd, IN_ATTRIB, "");
		wait_for_term();
		expect("child: the shared instance", fd, far, IN_OPEN, "");
		child_finish();
	}
	look(fd, before, sizeof(before)), look(waited, before, sizeof(before));
	ready();
	wait_for_term();

	look(fd, after, sizeof(after)), look(waited, after, sizeof(after));
	check(!strcmp(before, after), "watches", "before:\n%s\nafter:\n%s", before, after);
	check_equal("flags", fcntl(fd, F_GETFL), O_RDONLY | O_NONBLOCK);
	check_equal("flags of the other", fcntl(waited, F_GETFL), O_RDONLY);
	check_equal("close-on-exec", fcntl(fd, F_GETFD), FD_CLOEXEC);
	check(read(fd, drop, sizeof(drop)) < 0 && errno == EAGAIN, "nothing has happened", "there is an event");
	make("dir/x");
	expect("in the directory", fd, dir, IN_CREATE, "x");
	chmod("dir/new", 0640);
	expect("renamed", fd, renamed, IN_ATTRIB, "");
	if (write(deleted, "x", 1) != 1)
		die("write");
	expect("a deleted file", fd, unlinked, IN_MODIFY, "");
	chmod("linked", 0640);
	chmod("once", 0640);
	expect("once", fd, once, IN_ATTRIB, "");
	expect("and no more", fd, once, IN_IGNORED, "");
	if (lchown("link", -1, getgid()))
		die("lchown");
	expect("a symbolic link", fd, link, IN_ATTRIB, "");
	check_equal("one without events is still there", inotify_rm_watch(fd, nothing), 0);
	expect("and goes", fd, nothing, IN_IGNORED, "");
	close(open("many", O_RDONLY));
	check_equal("the next number", add(fd, "once", IN_OPEN), far + 1);
	check_equal("the empty one takes its first", add(empty, "once", IN_OPEN), 1);
	chmod("waited", 0640);
	end_child("child", child);
	finish();
}
