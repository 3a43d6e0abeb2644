import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;

/**
 * Threads that compute, allocate and hand numbers on in a ring: each must get all of its neighbour's, in their order.
 * SIGTERM asks for the verdict. Usage: java Busy.java [THREADS]
 */
public class Busy {
    static volatile String wrong;

    /** A step of a linear congruential generator. */
    static long next(long state) {
        return state * 6364136223846793005L + 1442695040888963407L;
    }

    static void work(BlockingQueue<long[]> in, BlockingQueue<long[]> out, long[] rounds, int me) {
        long sent = me, expected = -1;
        try {
            while (true) {
                for (int i = 0; i < 20_000; i++) sent = next(sent);
                // A new object each time: the collector is part of the work.
                out.put(new long[] { me, ++rounds[me * 8], sent });
                long[] got = in.take();
                if (expected >= 0 && got[1] != expected) wrong = "got " + got[1] + " instead of " + expected;
                expected = got[1] + 1;
                long again = got[0];
                if (got[1] <= 50) {
                    for (long i = 0; i < got[1] * 20_000; i++) again = next(again);
                    if (again != got[2]) wrong = "another number in round " + got[1];
                }
            }
        } catch (InterruptedException error) {
            wrong = error.toString();
        }
    }

    public static void main(String[] args) {
        int count = args.length > 0 ? Integer.parseInt(args[0]) : 4;
        @SuppressWarnings("unchecked")
        BlockingQueue<long[]>[] ring = new BlockingQueue[count];
        for (int i = 0; i < count; i++) ring[i] = new ArrayBlockingQueue<>(2);
        long[] rounds = new long[count * 8];
        for (int i = 0; i < count; i++) {
            int me = i;
            Thread thread = new Thread(() -> work(ring[me], ring[(me + 1) % count], rounds, me));
            thread.start();
        }
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            long before = rounds[0];
            try {
                Thread.sleep(200);
            } catch (InterruptedException error) {
                wrong = error.toString();
            }
            if (rounds[0] == before) wrong = "stands still";
            System.out.println(wrong == null ? "ok rounds " + rounds[0] : "FAIL " + wrong);
            System.out.println(wrong == null ? "verdict PASS" : "verdict FAIL");
        }));
        System.out.println("ready");
    }
}
