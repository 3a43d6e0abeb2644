import java.io.FileWriter;
import java.io.PrintWriter;
import java.util.stream.IntStream;

/**
 * Appends a line a step to a file, each after work in a pool of threads. One that is wrong makes a line of its own.
 * Usage: java Steps.java STEPS FILE PAUSE
 */
public class Steps {
	public static void main(String[] words) throws Exception {
		int steps = Integer.parseInt(words[0]);
		long pause = (long) (Double.parseDouble(words[2]) * 1000);
		try (PrintWriter out = new PrintWriter(new FileWriter(words[1], true), true)) {
			for (int step = 0; step < steps; step++) {
				// Garbage, for the collector to have something to do.
				byte[][] filled = new byte[8][];
				int last = step;
				IntStream.range(0, filled.length).parallel().forEach(part -> {
					filled[part] = new byte[64 << 10];
					java.util.Arrays.fill(filled[part], (byte) (last + part));
				});
				for (int part = 0; part < filled.length; part++)
					if (filled[part][(64 << 10) - 1] != (byte) (last + part))
						out.println("step " + step + " has lost what a thread wrote");
				out.println(step);
				Thread.sleep(pause);
			}
		}
	}
}
