/*
 * The mixed subject: a tree of tasks and resources that its arguments describe, one part each, as
 * tests/mixed/ makes them:
 *
 *     ID=OP@TASK:WORD,WORD,...      3=file@1:rw,append,size=5000
 *
 * TASK is the task that makes the part: 0 for the root, or the ID of a part that made a task (`proc`,
 * `thread`). A word `#N` refers to part N. Parts are made one after the other in the order given, so what
 * stands before a `proc` is inherited by it, and what stands behind is not.
 *
 * The root leads. It writes a command into a page that all tasks have, and the task that is named there obeys
 * and says that it is done; so nothing that is looked at moves meanwhile, and what a task sees of another's
 * change is what it shares with it. The root alone keeps the model: who has which descriptor, mapping, table.
 */
#ifndef MIXED_H
#define MIXED_H

#include "files.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define MAX_PARTS 200
#define MAX_WORDS 12
/* The numbers of a part's descriptors, three at most; whoever inherits them has them under the same. */
#define FD(id, n) (16 + 3 * (id) + (n))
/* A number by which each descriptor table is told from the others. */
#define TABLE_MARK(task) (16 + 3 * MAX_PARTS + (task))
/* Where a part's mapping is. */
#define MAP_AT(id) ((unsigned char *)(0x500000000000 + (id) * 0x1000000L))
#define COMMON_AT ((void *)0x510000000000)
#define PAGE 4096
#define PORTRAIT_LINES 420

struct part {
	int id, task, words;
	const char *op, *word[MAX_WORDS];
};

/* What a task is told to do about a part, or about itself. */
enum phase {
	MAKE, /* the part */
	CHANGE, /* it, in a way that is seen by all who share it */
	LOOK, /* whether it is as it was changed last */
	ABSENT, /* that this task has no descriptor of the part */
	PORTRAIT, /* take down one's own attributes */
	COMPARE, /* them with what was taken down */
	MARK, /* the tables that this task may share: descriptors, signal handlers, file system */
	SEE, /* the marks of another task, or that they are not here */
	END,
};

struct portrait {
	int lines;
	struct {
		char name[28];
		unsigned long value;
	} line[PORTRAIT_LINES];
};

/* The page that all tasks have. */
struct common {
	volatile unsigned seq, done;
	volatile int who, part, phase, ending, failures;
	volatile long value;
	volatile pid_t pid[MAX_PARTS], tid[MAX_PARTS]; /* by task */
	volatile int vm[MAX_PARTS]; /* the task that first had the memory that it has */
	volatile long state[MAX_PARTS][8]; /* by part: what it should be */
	volatile long seed[MAX_PARTS][MAX_PARTS]; /* by memory and part: what is in a private mapping */
	struct portrait portrait[MAX_PARTS];
};

static struct common *const common = COMMON_AT;
static struct part parts[MAX_PARTS]; /* by id; op is NULL where there is none */
static int order[MAX_PARTS], part_count;
static char home[512]; /* where files are made: a task may have gone elsewhere */

/* A path in `home`. */
static inline const char *at_home(char *path, size_t size, const char *name, int id)
{
	snprintf(path, size, "%.500s/%s%d", home, name, id);
	return path;
}

/* One thing that is not as it should be, by the part that it belongs to. */
static inline __attribute__((format(printf, 2, 3))) void bad(const struct part *p, const char *fmt, ...)
{
	char with[128];
	va_list args;

	snprintf(with, sizeof(with), "FAIL part %d (%s@%d), task %d: ", p->id, p->op, p->task, common->who);
	va_start(args, fmt);
	vsay(with, "", fmt, args);
	va_end(args);
	__atomic_add_fetch(&common->failures, 1, __ATOMIC_SEQ_CST);
}

#define EXPECT(p, got, want, what)                                                                         \
	do {                                                                                               \
		long got_ = (long)(got), want_ = (long)(want);                                             \
		if (got_ != want_)                                                                         \
			bad(p, "%s is %ld (%#lx) and was %ld (%#lx)", what, got_, got_, want_, want_);     \
	} while (0)

static inline bool has(const struct part *p, const char *word)
{
	for (int i = 0; i < p->words; i++)
		if (!strcmp(p->word[i], word))
			return true;
	return false;
}

/* The text of `NAME=TEXT`, or a default. */
static inline const char *text_of(const struct part *p, const char *name, const char *otherwise)
{
	size_t len = strlen(name);
	for (int i = 0; i < p->words; i++)
		if (!strncmp(p->word[i], name, len) && p->word[i][len] == '=')
			return p->word[i] + len + 1;
	return otherwise;
}

static inline long number(const struct part *p, const char *name, long otherwise)
{
	const char *text = text_of(p, name, NULL);
	return text ? strtol(text, NULL, 0) : otherwise;
}

/* The `n`-th part that this one refers to, or NULL. */
static inline const struct part *ref(const struct part *p, int n)
{
	for (int i = 0; i < p->words; i++)
		if (p->word[i][0] == '#' && n-- == 0)
			return &parts[atoi(p->word[i] + 1)];
	return NULL;
}

static inline long futex(volatile unsigned *word, int op, unsigned value, const struct timespec *limit)
{
	return syscall(SYS_futex, word, op, value, limit, NULL, 0);
}

/* Makes a descriptor the `n`-th of a part. */
static inline int put(const struct part *p, int n, int fd)
{
	if (fd < 0)
		die("part %d (%s): descriptor %d", p->id, p->op, n);
	if (dup3(fd, FD(p->id, n), has(p, "cloexec") ? O_CLOEXEC : 0) < 0)
		die("part %d (%s): dup3", p->id, p->op);
	close(fd);
	return FD(p->id, n);
}

/* A number in a file of /proc, behind a field's name or at its beginning; -1 if there is none. */
static inline long proc_number(const char *path, const char *field, int base)
{
	char line[256];
	long value = -1;
	FILE *file = fopen(path, "r");

	while (file && fgets(line, sizeof(line), file))
		if (!field || !strncmp(line, field, strlen(field))) {
			value = strtol(line + (field ? strlen(field) : 0), NULL, base);
			break;
		}
	if (file)
		fclose(file);
	return value;
}

/* The state letter of a thread, or 0 where there is none. */
static inline char state_of(pid_t pid, pid_t tid)
{
	char path[64], text[512] = "";
	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	char *end = n > 0 ? strrchr(text, ')') : NULL;
	return end ? end[2] : 0;
}

#endif
