import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.flume.Event;
import org.apache.flume.api.RpcClient;
import org.apache.flume.api.RpcClientFactory;
import org.apache.flume.event.EventBuilder;

/**
 * Clients of Flume that do what they are told on standard input, side by side, and tell what they
 * met: "RESULT NAME {...}" with the chain of exceptions, and whether the client says it is active.
 *
 * <pre>
 * open NAME CLIENT_TYPE HOST:PORT[,HOST:PORT] TIMEOUT_MILLIS [KEY=VALUE ...]
 * call NAME append|batch
 * send NAME SINGLES [BATCH ...]   events one by one, then so many in a call each; numbered from 0
 * storm NAME THREADS CALLS EVENTS threads that each make so many calls of so many events
 * settle NAME       waits until no connection is open any more
 * close NAME
 * </pre>
 */
public final class Exceptions {
  private static final int EVENTS_PER_BATCH = 2;
  private static final long SETTLE_MILLIS_MAX = 20_000;
  private static final int CHAIN_MAX = 20;

  private static final Map<String, RpcClient> CLIENTS = new ConcurrentHashMap<>();

  private interface Step {
    void run() throws Exception;
  }

  public static void main(String[] arguments) throws Exception {
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      String[] words = line.split(" ");
      String name = words[1];
      Thread thread = new Thread(() -> report(name, () -> step(words)));
      thread.setDaemon(true);
      thread.start();
    }
    System.exit(0);
  }

  private static void step(String[] words) throws Exception {
    String name = words[1];
    switch (words[0]) {
      case "open":
        CLIENTS.remove(name);
        CLIENTS.put(name, RpcClientFactory.getInstance(settings(words)));
        break;
      case "call":
        call(CLIENTS.get(name), words[2]);
        break;
      case "send":
        send(CLIENTS.get(name), words);
        break;
      case "storm":
        storm(CLIENTS.get(name), number(words[2]), number(words[3]), number(words[4]));
        break;
      case "settle":
        settle(CLIENTS.get(name));
        break;
      case "close":
        CLIENTS.remove(name).close();
        break;
      default:
        throw new IllegalArgumentException(words[0]);
    }
  }

  private static Properties settings(String[] words) {
    Properties settings = new Properties();
    settings.setProperty("client.type", words[2]);
    List<String> names = new ArrayList<>();
    for (String host : words[3].split(",")) {
      names.add("h" + names.size());
      settings.setProperty("hosts." + names.get(names.size() - 1), host);
    }
    settings.setProperty("hosts", String.join(" ", names));
    settings.setProperty("connect-timeout", words[4]);
    settings.setProperty("request-timeout", words[4]);
    for (int at = 5; at < words.length; at++) {
      String[] pair = words[at].split("=", 2);
      settings.setProperty(pair[0], pair[1]);
    }
    return settings;
  }

  private static int number(String word) {
    return Integer.parseInt(word);
  }

  private static void send(RpcClient client, String[] words) throws Exception {
    int next = 0;
    for (int singles = number(words[2]); next < singles; next++) {
      client.append(event(String.valueOf(next)));
    }
    for (int at = 3; at < words.length; at++) {
      List<Event> batch = new ArrayList<>();
      for (int events = number(words[at]); batch.size() < events; next++) {
        batch.add(event(String.valueOf(next)));
      }
      client.appendBatch(batch);
    }
  }

  private static void storm(RpcClient client, int threads, int calls, int events) throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    List<Future<?>> senders = new ArrayList<>();
    for (int sender = 0; sender < threads; sender++) {
      String name = sender + " ";
      senders.add(pool.submit(() -> {
        for (int call = 0; call < calls; call++) {
          List<Event> batch = new ArrayList<>();
          while (batch.size() < events) {
            batch.add(event(name + call + " " + batch.size()));
          }
          client.appendBatch(batch);
        }
        return null;
      }));
    }
    for (Future<?> sender : senders) {
      sender.get();
    }
    pool.shutdown();
  }

  private static Event event(String body) {
    return EventBuilder.withBody(body.getBytes(StandardCharsets.UTF_8));
  }

  private static void call(RpcClient client, String kind) throws Exception {
    Event event = EventBuilder.withBody(new byte[] {'x'});
    if (kind.equals("append")) {
      client.append(event);
    } else {
      client.appendBatch(Collections.nCopies(EVENTS_PER_BATCH, event));
    }
  }

  private static void report(String name, Step step) {
    StringBuilder chain = new StringBuilder();
    try {
      step.run();
    } catch (Throwable thrown) {
      Throwable cause = thrown;
      for (int depth = 0; cause != null && depth < CHAIN_MAX; depth++) {
        chain.append(chain.length() == 0 ? "" : ",")
            .append("{\"class\":").append(quoted(cause.getClass().getName()))
            .append(",\"message\":").append(quoted(cause.getMessage())).append('}');
        cause = cause.getCause();
      }
    }
    RpcClient client = CLIENTS.get(name);
    String active = client == null ? "null" : String.valueOf(client.isActive());
    System.out.println(
        "RESULT " + name + " {\"thrown\":[" + chain + "],\"active\":" + active + "}");
  }

  private static String quoted(String text) {
    if (text == null) {
      return "null";
    }
    StringBuilder quoted = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c == '"' || c == '\\') {
        quoted.append('\\').append(c);
      } else if (c < ' ') {
        quoted.append(String.format("\\u%04x", (int) c));
      } else {
        quoted.append(c);
      }
    }
    return quoted.append('"').toString();
  }

  /** Polls, since nothing here tells when a client has noticed the end of its connection. */
  private static void settle(RpcClient client) throws Exception {
    long deadline = System.currentTimeMillis() + SETTLE_MILLIS_MAX;
    while (isConnected(client)) {
      if (System.currentTimeMillis() > deadline) {
        throw new IllegalStateException("still connected");
      }
      Thread.sleep(5);
    }
  }

  private static boolean isConnected(Object client) throws ReflectiveOperationException {
    Object transceiver = field(client, "transceiver");
    if (transceiver != null) {
      Object channel = field(transceiver, "channel");
      return channel != null && isOpen(channel);
    }
    Object single = field(client, "client");
    Object several = field(client, "clientMap");
    boolean connected = single != null && isConnected(single);
    if (several != null) {
      for (Object one : (Collection<?>) ((Map<?, ?>) several).values()) {
        connected |= isConnected(one);
      }
    }
    return connected;
  }

  private static boolean isOpen(Object channel) throws ReflectiveOperationException {
    Method isOpen = channel.getClass().getMethod("isOpen");
    isOpen.setAccessible(true);
    return (Boolean) isOpen.invoke(channel);
  }

  private static Object field(Object object, String name) throws ReflectiveOperationException {
    for (Class<?> type = object.getClass(); type != null; type = type.getSuperclass()) {
      for (Field field : type.getDeclaredFields()) {
        if (field.getName().equals(name)) {
          field.setAccessible(true);
          return field.get(object);
        }
      }
    }
    return null;
  }
}
