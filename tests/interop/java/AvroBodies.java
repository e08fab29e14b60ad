import java.io.File;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.file.DataFileReader;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;

/**
 * Reads events whose bodies are Avro datums, with the schema that each one names by its hash: a
 * schema's file, and files of the avro_event serializer. Prints a line of JSON for each body.
 */
public final class AvroBodies {
  public static void main(String[] arguments) throws Exception {
    Map<String, Schema> known = new HashMap<>();
    Schema schema = new Schema.Parser().parse(new File(arguments[0]));
    // As Flume's AvroEventDeserializer names a schema.
    byte[] hash = SchemaNormalization.parsingFingerprint("CRC-64-AVRO", schema);
    known.put(HexFormat.of().formatHex(hash), schema);
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    for (int at = 1; at < arguments.length; at++) {
      try (DataFileReader<GenericRecord> events =
          new DataFileReader<>(new File(arguments[at]), new GenericDatumReader<>())) {
        for (GenericRecord event : events) {
          out.println(body(event, known));
        }
      }
    }
  }

  private static Object body(GenericRecord event, Map<String, Schema> known) throws Exception {
    String hash = null;
    for (Map.Entry<?, ?> header : ((Map<?, ?>) event.get("headers")).entrySet()) {
      if (header.getKey().toString().equals("flume.avro.schema.hash")) {
        hash = header.getValue().toString();
      }
    }
    Schema schema = known.get(hash);
    if (schema == null) {
      throw new IllegalArgumentException("no schema has the hash " + hash);
    }
    ByteBuffer body = (ByteBuffer) event.get("body");
    byte[] bytes = new byte[body.remaining()];
    body.get(bytes);
    BinaryDecoder decoder = DecoderFactory.get().binaryDecoder(bytes, null);
    Object value = new GenericDatumReader<>(schema).read(null, decoder);
    if (!decoder.isEnd()) {
      throw new IllegalArgumentException("bytes are left behind the datum");
    }
    return value;
  }
}
