/*
 * System V IPC: shared memory that two tasks have attached whole, in part, for reading only, that is marked for
 * removal, and that nobody has attached; semaphores with values and with adjustments of two tasks and a thread; a
 * queue with messages; all with their ids, keys, owners and permissions. At the end they are removed.
 */
#include "mem.h"

#include <pthread.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#define SEMAPHORES 5
/* Whose a segment is; nobody is this user. */
#define OTHER 12345

struct message {
	long type;
	char text[40];
};

static int whole, detached, set, queue;

static int made(int id, const char *name)
{
	if (id < 0)
		die("%s", name);
	fact(name, "%d", id);
	return id;
}

static void operate(int num, int by, int flags)
{
	struct sembuf operation = { num, by, flags | IPC_NOWAIT };

	if (semop(set, &operation, 1))
		die("semop %d %d", num, by);
}

/* Threads share the adjustments of their process. */
static void *take_one(void *unused)
{
	operate(2, -1, SEM_UNDO);
	wait_for_term();
	return unused;
}

static void put(long type, const char *text)
{
	struct message message = { .type = type };

	strcpy(message.text, text);
	if (msgsnd(queue, &message, strlen(text) + 1, 0))
		die("msgsnd");
}

static void check_got(long type, const char *text)
{
	struct message message;
	ssize_t size = msgrcv(queue, &message, sizeof(message.text), 0, IPC_NOWAIT);

	check(size == (ssize_t)strlen(text) + 1 && message.type == type && !strcmp(message.text, text), text,
	      "%zd bytes of type %ld", size, message.type);
}

static int value(int num)
{
	return semctl(set, num, GETVAL);
}

static void check_object(const char *name, const struct ipc_perm *perm, key_t key, int mode, int uid, int cuid)
{
	char what[64];

	snprintf(what, sizeof(what), "%s: key, permissions, owner", name);
	check(perm->__key == key && (int)perm->mode == mode && (int)perm->uid == uid && (int)perm->cuid == cuid, what,
	      "%x %o %d %d", perm->__key, perm->mode, perm->uid, perm->cuid);
}

/* Has all of it attached and taken, and says at the end whether it is as it was. */
static void hold(key_t key, char *fixed)
{
	struct shmid_ds segment;
	struct semid_ds semaphores;
	struct msqid_ds messages;
	pthread_t thread;
	int doomed = made(shmget(IPC_PRIVATE, PAGE, 0600), "doomed");
	char *a = shmat(whole, fixed, 0), *r = shmat(whole, fixed + (1 << 30), SHM_RDONLY);
	char *d = shmat(doomed, NULL, 0), *t = shmat(detached, NULL, 0);

	if (a != fixed || r == (void *)-1 || d == (void *)-1 || t == (void *)-1)
		die("shmat");
	fill_page(a, 1, 0);
	fill_page(a + 5 * PAGE, 5, 0);
	fill_page(d, 7, 0);
	fill_page(t + 299 * PAGE, 9, 0);
	shmdt(t);
	shmctl(doomed, IPC_RMID, NULL);
	mprotect(r + 2 * PAGE, PAGE, PROT_NONE);
	operate(0, 10, 0);
	operate(1, 32767, 0);
	operate(2, 7, 0);
	operate(3, 100, 0);
	operate(0, -3, SEM_UNDO);
	operate(3, 50, SEM_UNDO);
	if (pthread_create(&thread, NULL, take_one, NULL))
		die("pthread_create");
	put(3, "the first");
	put(1, "the second");
	put(0x7fffffff, "");

	pid_t child = fork_child();
	if (child == 0) {
		char *part = shmat(whole, NULL, 0);
		operate(1, -32767, SEM_UNDO);
		operate(0, -1, SEM_UNDO);
		munmap(a + PAGE, 2 * PAGE);
		mprotect(a + 3 * PAGE, PAGE, PROT_READ);
		*(volatile uint64_t *)(part + 4 * PAGE) = 4711;
		wait_for_term();
		check(!is_readable(a + PAGE), "child: unmapped", "it is there again");
		check_perms("child: permissions", a + 3 * PAGE, "r--s");
		*(volatile uint64_t *)(part + 4 * PAGE + 8) = 4712;
		check_equal("child: detaches", shmdt(part), 0);
		child_finish();
	}
	while (value(0) != 6 || value(2) != 6 || *(volatile uint64_t *)(a + 4 * PAGE) != 4711)
		sleep_ms(1);
	operate(4, 1, 0);
	wait_for_term();
	pthread_join(thread, NULL);

	check(page_is(a, 1, 0) && page_is(a + 5 * PAGE, 5, 0) && page_is(r, 1, 0), "contents", "others");
	check_perms("read only", r, "r--s");
	check_perms("protected", r + 2 * PAGE, "---s");
	check(page_is(d, 7, 0), "contents of what is marked for removal", "others");
	check_equal("stat", shmctl(whole, IPC_STAT, &segment), 0);
	/* Here one whole and one in three parts; in the child three parts each of them, and one more. */
	check_equal("attached", segment.shm_nattch, 4 + 3 + 3 + 1);
	check_equal("size", segment.shm_segsz, 6 * PAGE - 100);
	check_object("shared memory", &segment.shm_perm, key, 0640, OTHER, geteuid());
	check_equal("stat of what is marked for removal", shmctl(doomed, IPC_STAT, &segment), 0);
	check_object("marked for removal", &segment.shm_perm, 0, 01600, geteuid(), geteuid());
	t = shmat(detached, NULL, 0);
	check(t != (void *)-1 && page_is(t + 299 * PAGE, 9, 0) && t[PAGE] == 0, "detached", "errno %d", errno);

	check_equal("value 0", value(0), 6);
	check_equal("value 1", value(1), 0);
	check_equal("value 2 when a thread has ended", value(2), 6);
	check_equal("value 3", value(3), 150);
	check_equal("value 4", value(4), 1);
	check_equal("last user", semctl(set, 1, GETPID), child);
	end_child("child", child);
	check(*(volatile uint64_t *)(a + 4 * PAGE + 8) == 4712, "memory is shared with the child", "another value");
	check_equal("the child gives back 0", value(0), 7);
	check_equal("the child gives back 1", value(1), 32767);
	child = fork_child();
	if (child == 0)
		child_finish();
	end_child("a child without adjustments", child);
	check_equal("nothing else is given back", value(0), 7);
	if (!semctl(set, 0, IPC_STAT, &semaphores))
		check_object("semaphores", &semaphores.sem_perm, key, 0604, geteuid(), geteuid());

	check_equal("queue", msgctl(queue, IPC_STAT, &messages), 0);
	check_object("queue", &messages.msg_perm, key, 0600, geteuid(), geteuid());
	check_equal("messages", messages.msg_qnum, 3);
	check_got(3, "the first");
	check_got(1, "the second");
	check_got(0x7fffffff, "");
}

int main(void)
{
	struct shmid_ds segment;
	key_t key = 0x53000000 | getpid();

	subject_init();
	whole = made(shmget(key, 6 * PAGE - 100, IPC_CREAT | IPC_EXCL | 0640), "shm");
	detached = made(shmget(IPC_PRIVATE, 300 * PAGE, 0600), "detached");
	set = made(semget(key, SEMAPHORES, IPC_CREAT | IPC_EXCL | 0604), "sem");
	queue = made(msgget(key, IPC_CREAT | IPC_EXCL | 0600), "msg");
	if (shmctl(whole, IPC_STAT, &segment))
		die("IPC_STAT");
	segment.shm_perm.uid = OTHER;
	if (shmctl(whole, IPC_SET, &segment))
		die("IPC_SET");
	pid_t holder = fork_child();
	if (holder == 0) {
		hold(key, (char *)0x310000000000);
		child_finish();
	}
	while (value(4) != 1)
		sleep_ms(1);
	ready();
	wait_for_term();
	end_child("the holder", holder);
	check_equal("the holder gives back 0", value(0), 10);
	check_equal("the holder gives back 2", value(2), 7);
	check_equal("the holder gives back 3", value(3), 100);
	check_equal("by its id", shmget(key, 0, 0), whole);
	shmctl(whole, IPC_RMID, NULL);
	shmctl(detached, IPC_RMID, NULL);
	semctl(set, 0, IPC_RMID);
	msgctl(queue, IPC_RMID, NULL);
	finish();
}
