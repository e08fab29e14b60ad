import java.io.IOException;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.Properties;
import java.util.StringJoiner;
import java.util.TreeSet;

/**
 * What java.util.Properties makes of texts: one line of hexadecimal UTF-8 in, one line out with
 * "key=value" in hexadecimal by key, or "error".
 */
public final class PropertiesDump {
  private static final HexFormat HEX = HexFormat.of();

  public static void main(String[] arguments) throws IOException {
    StringBuilder out = new StringBuilder();
    for (String line : Files.readAllLines(Path.of(arguments[0]))) {
      String text = new String(HEX.parseHex(line), StandardCharsets.UTF_8);
      out.append(dump(text)).append('\n');
    }
    System.out.print(out);
  }

  private static String dump(String text) throws IOException {
    Properties properties = new Properties();
    try {
      properties.load(new StringReader(text));
    } catch (IllegalArgumentException e) {
      return "error";
    }
    StringJoiner joined = new StringJoiner(",");
    for (String key : new TreeSet<>(properties.stringPropertyNames())) {
      joined.add(hex(key) + "=" + hex(properties.getProperty(key)));
    }
    return joined.toString();
  }

  private static String hex(String text) {
    return HEX.formatHex(text.getBytes(StandardCharsets.UTF_8));
  }
}
