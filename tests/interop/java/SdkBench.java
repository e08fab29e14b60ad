// Licensed under the Apache License, Version 2.0.

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.flume.Event;
import org.apache.flume.EventDeliveryException;
import org.apache.flume.api.RpcClient;
import org.apache.flume.api.RpcClientFactory;
import org.apache.flume.event.EventBuilder;

/**
 * Sends numbered events with Flume's own client and prints one JSON line per round.
 *
 * <p>Arguments: client type, hosts (host:port,host:port), batch, threads, events, body bytes,
 * rounds, and settings of the client as KEY=VALUE. Every round sends all events again from warm
 * code, with a fresh client per thread that connects before the clock starts.
 *
 * <p>A body is the event's number as 12 digits, padded with 'x' or cut on the left to its size.
 */
public final class SdkBench {
  private static final int NUMBER_DIGITS = 12;
  private static final int ATTEMPTS_MAX = 1_000;

  private final Properties clientSettings;
  private final int batch;
  private final int threads;
  private final long events;
  private final int bodyBytes;
  private final byte[] padding;
  private final Map<String, String> headers = new HashMap<>();
  private final AtomicLong retries = new AtomicLong();
  private final AtomicReference<Throwable> failure = new AtomicReference<>();

  private SdkBench(String[] args) {
    batch = Integer.parseInt(args[2]);
    threads = Integer.parseInt(args[3]);
    events = Long.parseLong(args[4]);
    bodyBytes = Integer.parseInt(args[5]);
    padding = new byte[bodyBytes];
    Arrays.fill(padding, (byte) 'x');
    clientSettings = clientSettings(args[0], args[1], batch);
    for (String setting : Arrays.asList(args).subList(7, args.length)) {
      String[] pair = setting.split("=", 2);
      clientSettings.setProperty(pair[0], pair[1]);
    }
    headers.put("host", "web-1");
    headers.put("timestamp", "1700000000000");
  }

  public static void main(String[] args) throws Exception {
    SdkBench bench = new SdkBench(args);
    int rounds = Integer.parseInt(args[6]);
    for (int round = 0; round < rounds; round++) {
      bench.round();
    }
    // A client may leave non-daemon threads behind: the work is done, so leave.
    System.exit(0);
  }

  private static Properties clientSettings(String type, String hosts, int batch) {
    Properties settings = new Properties();
    settings.setProperty("client.type", type);
    settings.setProperty("batch-size", Integer.toString(batch));
    StringBuilder aliases = new StringBuilder();
    String[] addresses = hosts.split(",");
    for (int i = 0; i < addresses.length; i++) {
      aliases.append("h").append(i).append(' ');
      settings.setProperty("hosts.h" + i, addresses[i]);
    }
    settings.setProperty("hosts", aliases.toString().trim());
    return settings;
  }

  private void round() throws Exception {
    retries.set(0);
    CountDownLatch connected = new CountDownLatch(threads);
    CountDownLatch start = new CountDownLatch(1);
    List<Thread> senders = new ArrayList<>();
    for (int i = 0; i < threads; i++) {
      long first = events * i / threads;
      long end = events * (i + 1) / threads;
      Thread sender = new Thread(() -> send(first, end, connected, start), "sender-" + i);
      sender.setDaemon(true);
      senders.add(sender);
      sender.start();
    }
    connected.await();
    long cpuBefore = cpuNanos();
    long before = System.nanoTime();
    start.countDown();
    for (Thread sender : senders) {
      sender.join();
    }
    double seconds = (System.nanoTime() - before) / 1e9;
    double cpuSeconds = (cpuNanos() - cpuBefore) / 1e9;
    if (failure.get() != null) {
      throw new IllegalStateException("a sender gave up", failure.get());
    }
    System.out.println(
        String.format(
            Locale.ROOT,
            "{\"events\":%d,\"seconds\":%.6f,\"events_per_second\":%.1f,\"cpu_seconds\":%.6f,"
                + "\"threads\":%d,\"batch\":%d,\"retries\":%d}",
            events, seconds, events / seconds, cpuSeconds, threads, batch, retries.get()));
    System.out.flush();
  }

  private void send(long first, long end, CountDownLatch connected, CountDownLatch start) {
    RpcClient client = null;
    try {
      try {
        client = RpcClientFactory.getInstance(clientSettings);
      } finally {
        connected.countDown();
      }
      start.await();
      for (long next = first; next < end; next += batch) {
        client = deliver(client, batchFrom(next, Math.min(end, next + batch)));
      }
    } catch (Throwable e) {
      failure.compareAndSet(null, e);
    } finally {
      if (client != null) {
        client.close();
      }
    }
  }

  /** Sends one batch until it is accepted; returns the client to go on with. */
  private RpcClient deliver(RpcClient client, List<Event> events) throws Exception {
    for (int attempt = 1; ; attempt++) {
      try {
        if (batch == 1) {
          client.append(events.get(0));
        } else {
          client.appendBatch(events);
        }
        return client;
      } catch (EventDeliveryException e) {
        if (attempt == ATTEMPTS_MAX) {
          throw e;
        }
        retries.incrementAndGet();
        if (!client.isActive()) {
          client.close();
          client = RpcClientFactory.getInstance(clientSettings);
        }
      }
    }
  }

  private List<Event> batchFrom(long first, long end) {
    List<Event> events = new ArrayList<>((int) (end - first));
    for (long number = first; number < end; number++) {
      events.add(EventBuilder.withBody(body(number), headers));
    }
    return events;
  }

  private byte[] body(long number) {
    byte[] body = padding.clone();
    int digits = Math.min(NUMBER_DIGITS, bodyBytes);
    long rest = number;
    for (int i = digits - 1; i >= 0; i--) {
      body[i] = (byte) ('0' + rest % 10);
      rest /= 10;
    }
    return body;
  }

  private static long cpuNanos() {
    return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
        .getProcessCpuTime();
  }
}
