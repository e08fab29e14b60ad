// Licensed under the Apache License, Version 2.0.

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.flume.api.RpcClient;
import org.apache.flume.api.RpcClientFactory;
import org.apache.flume.event.EventBuilder;

/**
 * Appends events one by one with Flume's own client, from threads that share it, and prints one JSON
 * line per round: what a call takes, from its beginning to the agent's answer.
 *
 * <p>Arguments: host:port, threads, events per round over all threads, rounds. An event is a body of
 * 200 bytes with two headers, made before the clock of its call starts.
 */
public final class LatencyBench {
  private static final int BODY_BYTES = 200;

  public static void main(String[] args) throws Exception {
    String[] address = args[0].split(":");
    int threads = Integer.parseInt(args[1]);
    int events = Integer.parseInt(args[2]);
    int rounds = Integer.parseInt(args[3]);
    RpcClient client = RpcClientFactory.getDefaultInstance(address[0], Integer.parseInt(address[1]));
    for (int round = 0; round < rounds; round++) {
      round(client, threads, events);
    }
    client.close();
    // The client may leave non-daemon threads behind: the work is done, so leave.
    System.exit(0);
  }

  private static void round(RpcClient client, int threads, int events) throws Exception {
    long[] nanos = new long[events];
    AtomicReference<Throwable> failure = new AtomicReference<>();
    List<Thread> callers = new ArrayList<>();
    long cpuBefore = cpuNanos();
    long before = System.nanoTime();
    for (int i = 0; i < threads; i++) {
      int first = (int) ((long) events * i / threads);
      int end = (int) ((long) events * (i + 1) / threads);
      Thread caller = new Thread(() -> append(client, nanos, first, end, failure), "caller-" + i);
      callers.add(caller);
      caller.start();
    }
    for (Thread caller : callers) {
      caller.join();
    }
    double seconds = (System.nanoTime() - before) / 1e9;
    double cpuSeconds = (cpuNanos() - cpuBefore) / 1e9;
    if (failure.get() != null) {
      throw new IllegalStateException("a call failed", failure.get());
    }
    Arrays.sort(nanos);
    System.out.println(
        String.format(
            Locale.ROOT,
            "{\"seconds\":%.6f,\"cpu_seconds\":%.6f,\"p50_micros\":%.1f,\"p99_micros\":%.1f}",
            seconds, cpuSeconds, nanos[events / 2] / 1e3, nanos[(int) (events * 99L / 100)] / 1e3));
    System.out.flush();
  }

  private static void append(
      RpcClient client, long[] nanos, int first, int end, AtomicReference<Throwable> failure) {
    byte[] padding = new byte[BODY_BYTES];
    Arrays.fill(padding, (byte) 'x');
    Map<String, String> headers = new HashMap<>();
    headers.put("host", "web-1");
    headers.put("timestamp", "1700000000000");
    try {
      for (int number = first; number < end; number++) {
        byte[] body = padding.clone();
        byte[] digits = Integer.toString(number).getBytes(StandardCharsets.US_ASCII);
        System.arraycopy(digits, 0, body, 0, digits.length);
        var event = EventBuilder.withBody(body, headers);
        long before = System.nanoTime();
        client.append(event);
        nanos[number] = System.nanoTime() - before;
      }
    } catch (Throwable e) {
      failure.compareAndSet(null, e);
    }
  }

  private static long cpuNanos() {
    return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
        .getProcessCpuTime();
  }
}
