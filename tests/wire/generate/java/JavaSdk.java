// Writes the fixtures of the Java SDK, from its serializer for Kafka's own producer, and reads what Gulo writes:
// mvn -q dependency:build-classpath -Dmdep.outputFile=classpath && java -cp $(cat classpath) JavaSdk.java ../..

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.cloudevents.CloudEvent;
import io.cloudevents.core.builder.CloudEventBuilder;
import io.cloudevents.core.format.EventFormat;
import io.cloudevents.core.message.Encoding;
import io.cloudevents.jackson.JsonFormat;
import io.cloudevents.kafka.CloudEventDeserializer;
import io.cloudevents.kafka.CloudEventSerializer;
import io.cloudevents.kafka.PartitionKeyExtensionInterceptor;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.OffsetDateTime;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeaders;

public class JavaSdk {
  static final ObjectMapper JSON = new ObjectMapper();
  static Path out;

  public static void main(String[] arguments) throws Exception {
    Path root = Path.of(arguments[0]);
    out = Files.createDirectories(root.resolve("java"));
    JsonNode cases = JSON.readTree(root.resolve("generate/cases.json").toFile());
    for (Map.Entry<String, JsonNode> entry : cases.properties()) {
      String name = entry.getKey();
      write("binary-" + name, entry.getValue(), Encoding.BINARY, null);
      write("structured-" + name, entry.getValue(), Encoding.STRUCTURED, new JsonFormat());
    }
    // What its two options make of it: text that is not in base64, JSON that is.
    EventFormat text = new JsonFormat().withForceNonJsonDataToString();
    write("structured-text-as-string", cases.get("text"), Encoding.STRUCTURED, text);
    EventFormat base64 = new JsonFormat().withForceJsonDataToBase64();
    write("structured-json-as-base64", cases.get("json"), Encoding.STRUCTURED, base64);
    try (var ours = Files.newDirectoryStream(root.resolve("ours"), "{binary,structured}-*.json")) {
      for (Path path : ours) read(path);
    }
  }

  /** What Gulo wrote is read as it was meant. */
  static void read(Path path) throws Exception {
    JsonNode given = JSON.readTree(path.toFile());
    Headers headers = new RecordHeaders();
    for (JsonNode header : given.get("headers")) headers.add(header.get(0).textValue(), header.get(1).binaryValue());
    CloudEvent event = new CloudEventDeserializer().deserialize("topic", headers, given.get("value").binaryValue());
    JsonNode expected = given.get("expected");
    same(path, expected.get("id").textValue(), event.getId());
    same(path, expected.get("source").textValue(), event.getSource().toString());
    same(path, expected.get("type").textValue(), event.getType());
    same(path, expected.get("subject").textValue(), event.getSubject());
    same(path, expected.get("datacontenttype").textValue(), event.getDataContentType());
    same(path, OffsetDateTime.parse(expected.get("time").textValue()).toInstant(), event.getTime().toInstant());
    for (Map.Entry<String, JsonNode> extension : expected.get("extensions").properties())
      same(path, extension.getValue().textValue(), event.getExtension(extension.getKey()));
    byte[] data = event.getData().toBytes();
    JsonNode wanted = expected.get("data");
    if (wanted.has("json")) same(path, wanted.get("json"), JSON.readTree(data));
    else same(path, wanted.get("base64").textValue(), base64(data));
    System.out.println("read " + path);
  }

  static void same(Path path, Object expected, Object found) {
    if (!java.util.Objects.equals(expected, found)) throw new AssertionError(path + ": " + found + " is not " + expected);
  }

  static void write(String name, JsonNode given, Encoding encoding, EventFormat format) throws Exception {
    Map<String, Object> config = new HashMap<>();
    config.put(CloudEventSerializer.ENCODING_CONFIG, encoding);
    if (format != null) config.put(CloudEventSerializer.EVENT_FORMAT_CONFIG, format);
    CloudEventSerializer serializer = new CloudEventSerializer();
    serializer.configure(config, false);

    ProducerRecord<Object, CloudEvent> record = new ProducerRecord<>("topic", event(given));
    Object key = new PartitionKeyExtensionInterceptor().onSend((ProducerRecord) record).key();
    Headers headers = new RecordHeaders();
    byte[] value = serializer.serialize("topic", headers, record.value());

    ObjectNode fixture = JSON.createObjectNode();
    fixture.put("software", "io.cloudevents:cloudevents-kafka 4.0.1 (Java), CloudEventSerializer, " + encoding);
    fixture.put("key", key == null ? null : base64(key.toString().getBytes(StandardCharsets.UTF_8)));
    ArrayNode list = fixture.putArray("headers");
    for (Header header : headers) list.addArray().add(header.key()).add(base64(header.value()));
    fixture.put("value", base64(value));
    fixture.set("expected", expected(given));
    String text = JSON.writerWithDefaultPrettyPrinter().writeValueAsString(fixture);
    Files.writeString(out.resolve(name + ".json"), text + "\n");
  }

  static CloudEvent event(JsonNode given) throws Exception {
    CloudEventBuilder event = CloudEventBuilder.v1()
        .withId(given.get("id").textValue())
        .withSource(URI.create(given.get("source").textValue()))
        .withType(given.get("type").textValue())
        .withSubject(given.get("subject").textValue());
    if (given.hasNonNull("time")) event = event.withTime(OffsetDateTime.parse(given.get("time").textValue()));
    for (Map.Entry<String, JsonNode> extension : given.get("extensions").properties()) {
      JsonNode value = extension.getValue();
      if (value.isInt()) event = event.withExtension(extension.getKey(), value.intValue());
      else if (value.isBoolean()) event = event.withExtension(extension.getKey(), value.booleanValue());
      else event = event.withExtension(extension.getKey(), value.textValue());
    }
    byte[] data = data(given.get("data"));
    return data == null ? event.build() : event.withData(given.get("datacontenttype").textValue(), data).build();
  }

  static byte[] data(JsonNode data) throws Exception {
    if (data.isNull()) return null;
    if (data.has("base64")) return Base64.getDecoder().decode(data.get("base64").textValue());
    if (data.has("text")) return data.get("text").textValue().getBytes(StandardCharsets.UTF_8);
    return JSON.writeValueAsBytes(data.get("json"));
  }

  static ObjectNode expected(JsonNode given) {
    ObjectNode expected = given.deepCopy();
    ObjectNode extensions = expected.putObject("extensions");
    given.get("extensions").properties().forEach(e -> extensions.put(e.getKey(), e.getValue().asText()));
    return expected;
  }

  static String base64(byte[] value) {
    return value == null ? null : Base64.getEncoder().encodeToString(value);
  }
}
