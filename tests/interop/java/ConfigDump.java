import java.io.File;
import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.flume.NamedComponent;
import org.apache.flume.Sink;
import org.apache.flume.SinkProcessor;
import org.apache.flume.SinkRunner;
import org.apache.flume.SourceRunner;
import org.apache.flume.node.MaterializedConfiguration;
import org.apache.flume.node.PropertiesFileConfigurationProvider;

/**
 * What Flume makes of property files: one line per file, with what is left of the agent "a1" once
 * Flume has dropped what it cannot use, or with what it throws. Nothing is started.
 */
public final class ConfigDump {
  public static void main(String[] files) {
    for (String file : files) {
      System.out.println("RESULT " + dump(new File(file)));
    }
    // Sinks leave threads behind.
    System.exit(0);
  }

  private static String dump(File file) {
    try {
      MaterializedConfiguration config =
          new PropertiesFileConfigurationProvider("a1", file).getConfiguration();
      List<String> parts = new ArrayList<>();
      parts.add("channels=" + String.join(",", new TreeSet<>(config.getChannels().keySet())));
      for (Map.Entry<String, SourceRunner> entry :
          new TreeMap<>(config.getSourceRunners()).entrySet()) {
        parts.add("source " + entry.getKey() + "=" + names(entry.getValue().getSource()
            .getChannelProcessor().getSelector().getAllChannels()));
      }
      for (Map.Entry<String, SinkRunner> entry :
          new TreeMap<>(config.getSinkRunners()).entrySet()) {
        parts.add("runner " + entry.getKey() + "=" + sinks(entry.getValue().getPolicy()));
      }
      return String.join(";", parts);
    } catch (Throwable e) {
      return "throws " + e.getClass().getSimpleName();
    }
  }

  private static String sinks(SinkProcessor processor) throws ReflectiveOperationException {
    Object single = field(processor, "sink");
    if (single != null) {
      return ((Sink) single).getName();
    }
    Object live = field(processor, "liveSinks");
    if (live == null) {
      return names((Collection<?>) field(processor, "sinkList"));
    }
    return new TreeMap<>((Map<?, ?>) live).descendingMap().entrySet().stream()
        .map(entry -> ((Sink) entry.getValue()).getName() + ":" + entry.getKey())
        .collect(Collectors.joining(","));
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

  private static String names(Collection<?> components) {
    return components.stream()
        .map(component -> ((NamedComponent) component).getName())
        .collect(Collectors.joining(","));
  }
}
