/*
 * The three interval timers: a real one that ticks, and all three with long times that must be left
 * as they are, less what has run.
 * Usage: timer_itimer [long|ticking]
 */
#include "subject.h"

#include <sys/resource.h>
#include <sys/time.h>

static volatile int alarms, virtual_alarms, prof_alarms;

static void count(int sig)
{
	if (sig == SIGALRM)
		alarms++;
	else if (sig == SIGVTALRM)
		virtual_alarms++;
	else
		prof_alarms++;
}

static double seconds(struct timeval t)
{
	return t.tv_sec + t.tv_usec / 1e6;
}

static double user_time(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_utime.tv_sec + usage.ru_utime.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
	static const char *names[] = { "real", "virtual", "prof" };
	bool ticking = !strcmp(arg(argc, argv, 1, "long"), "ticking");
	struct sigaction act = { .sa_handler = count, .sa_flags = SA_RESTART };
	struct itimerval now;
	char name[48];

	subject_init();
	sigaction(SIGALRM, &act, NULL);
	sigaction(SIGVTALRM, &act, NULL);
	sigaction(SIGPROF, &act, NULL);
	if (ticking) {
		struct itimerval fast = { { 0, 10000 }, { 0, 10000 } };
		for (int i = 0; i < 3; i++)
			setitimer(i, &fast, NULL);
		sleep_ms(50);
		ready();
		int at_ready = alarms;
		volatile unsigned long spin = 0;
		while (!term_requested)
			spin++;
		int a = alarms, v = virtual_alarms, p = prof_alarms;
		/* Of its own time: a busy machine may give it little. */
		double until = user_time() + 0.2;
		while (user_time() < until)
			for (int i = 0; i < 1000000; i++)
				spin++;
		check(a > at_ready, "real alarms until now", "%d", a);
		/* Two clock ticks may be longer than an interval, so far fewer than 20 are enough. */
		check(alarms - a >= 5, "real alarms go on", "%d in 200 ms", alarms - a);
		check(virtual_alarms - v >= 3, "virtual alarms go on", "%d in 200 ms", virtual_alarms - v);
		check(prof_alarms - p >= 3, "profiling alarms go on", "%d in 200 ms", prof_alarms - p);
		finish();
	}
	struct itimerval set[3];
	double armed = now_s();
	for (int i = 0; i < 3; i++) {
		set[i] = (struct itimerval){ { 7 + i, 250000 }, { 1000 * (i + 1), 500000 } };
		if (setitimer(i, &set[i], NULL))
			die("setitimer");
	}
	ready();
	wait_for_term();
	double elapsed = now_s() - armed;
	for (int i = 0; i < 3; i++) {
		getitimer(i, &now);
		double left = seconds(now.it_value), whole = seconds(set[i].it_value);
		snprintf(name, sizeof(name), "%s: interval", names[i]);
		check(!memcmp(&now.it_interval, &set[i].it_interval, sizeof(now.it_interval)), name, "%.6f s",
		      seconds(now.it_interval));
		snprintf(name, sizeof(name), "%s: time left", names[i]);
		check(left > whole - elapsed - 0.1 && left <= whole + 0.02 && (i || left < whole), name,
		      "%.6f s of %.6f s after %.6f s", left, whole, elapsed);
	}
	check_equal("no alarm", alarms + virtual_alarms + prof_alarms, 0);
	finish();
}
