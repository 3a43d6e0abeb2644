/*
 * Uses a System V object that another process has made, and goes on living.
 *
 * Usage: sysv_user shm|detached|sem|hold|wait|msg|put ID [SEMAPHORE=4]
 */
#include "../../subjects/subject.h"

#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

int main(int argc, char **argv)
{
	const char *what = arg(argc, argv, 1, "");
	int id = atoi(arg(argc, argv, 2, ""));
	struct sembuf give = { atoi(arg(argc, argv, 3, "4")), 1, 0 }, hold = { 4, 1, SEM_UNDO }, take = { 1, -1, 0 };
	struct { long type; char text[80]; } message;
	bool done = false;

	subject_init();
	if (!strcmp(what, "shm"))
		done = shmat(id, NULL, 0) != (void *)-1;
	else if (!strcmp(what, "detached"))
		done = shmdt(shmat(id, NULL, 0)) == 0;
	else if (!strcmp(what, "sem"))
		done = semop(id, &give, 1) == 0;
	else if (!strcmp(what, "msg"))
		done = msgrcv(id, &message, sizeof(message.text), 0, IPC_NOWAIT) >= 0;
	else if (!strcmp(what, "put")) {
		message.type = 1;
		done = msgsnd(id, &message, 1, IPC_NOWAIT) == 0;
	} else if (!strcmp(what, "hold"))
		done = semop(id, &hold, 1) == 0;
	else if (!strcmp(what, "wait")) {
		ready();
		done = semop(id, &take, 1) == 0;
	}
	if (!done)
		die("%s %d", what, id);
	ready();
	wait_for_term();
	check(done, what, "it was not used");
	finish();
}
