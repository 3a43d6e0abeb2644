import java.util.ArrayList;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Threads that compute in code of the just-in-time compiler, allocate for the garbage collector, and wake each other. Each
 * looks at its own results all the time. The dialogue is that of tests/subjects/subject.h.
 */
public class Working {
	static final AtomicLong wrong = new AtomicLong();
	static final AtomicLong steps = new AtomicLong();

	/** The same numbers by two ways. */
	static void compute(long seed) {
		long a = seed, b = seed;
		for (;;) {
			for (int i = 0; i < 1_000_000; i++) {
				a = a * 6364136223846793005L + 1442695040888963407L;
				b = b * 6364136223846793004L + b + 1442695040888963407L;
				if (a != b) {
					wrong.incrementAndGet();
					return;
				}
			}
			steps.incrementAndGet();
		}
	}

	static void allocate() throws InterruptedException {
		for (;;) {
			ArrayList<byte[]> parts = new ArrayList<>();
			for (int i = 0; i < 64; i++) {
				byte[] part = new byte[4096];
				part[i] = (byte) i;
				parts.add(part);
			}
			Thread.sleep(0, 200_000);
			for (int i = 0; i < 64; i++) if (parts.get(i)[i] != (byte) i) wrong.incrementAndGet();
		}
	}

	static void pass(SynchronousQueue<Long> from, SynchronousQueue<Long> to) throws InterruptedException {
		for (;;) {
			long got = from.take();
			Thread.sleep(1);
			to.put(got + 1);
			steps.incrementAndGet();
		}
	}

	interface Task { void run() throws Exception; }

	static void start(Task task) {
		Thread thread = new Thread(() -> {
			try {
				task.run();
			} catch (Throwable error) {
				error.printStackTrace();
				wrong.incrementAndGet();
			}
		});
		thread.setDaemon(true);
		thread.start();
	}

	static void judge() throws InterruptedException {
		long before = steps.get();
		Thread.sleep(300);
		boolean ok = wrong.get() == 0 && steps.get() > before;
		System.out.print(ok
			? "ok threads\nverdict PASS\n"
			: "FAIL threads: " + wrong.get() + " wrong, " + (steps.get() - before) + " steps\nverdict FAIL\n");
		System.out.flush();
		Runtime.getRuntime().halt(ok ? 0 : 1);
	}

	public static void main(String[] arguments) throws Exception {
		SynchronousQueue<Long> left = new SynchronousQueue<>(), right = new SynchronousQueue<>();
		start(() -> compute(1));
		start(() -> compute(2));
		start(Working::allocate);
		start(() -> pass(left, right));
		start(() -> pass(right, left));
		left.put(0L);
		Object term = new Object();
		sun.misc.Signal.handle(new sun.misc.Signal("TERM"), signal -> start(Working::judge));
		Thread.sleep(200);
		System.out.println("ready");
		synchronized (term) {
			term.wait();
		}
	}
}
