import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Sends texts to a worker and prints their labels. Arguments: broker, input, label and dead-letter topic. */
public final class Label {
    private static final List<String> TEXTS =
        List.of("My card was charged twice", "The app crashes when I open it", " ");
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        String broker = argument(args, 0, "127.0.0.1:9092"), input = argument(args, 1, "texts");
        String labels = argument(args, 2, "labels"), dead = argument(args, 3, "texts.dead");
        Map<String, Object> servers = Map.of("bootstrap.servers", broker);
        try (var consumer = new KafkaConsumer<>(servers, new ByteArrayDeserializer(), new ByteArrayDeserializer());
             var producer = new KafkaProducer<>(servers, new ByteArraySerializer(), new ByteArraySerializer())) {
            List<TopicPartition> partitions = List.of(labels, dead).stream()
                .flatMap(topic -> consumer.partitionsFor(topic).stream())
                .map(info -> new TopicPartition(info.topic(), info.partition()))
                .toList();
            consumer.assign(partitions);
            consumer.seekToEnd(partitions);
            // Reading the positions fixes them, so that no reply is missed.
            partitions.forEach(consumer::position);
            Map<String, String> pending = new HashMap<>();
            for (String text : TEXTS) {
                String id = UUID.randomUUID().toString();
                pending.put(id, text);
                byte[] value = JSON.writeValueAsBytes(Map.of("id", id, "text", text));
                var record = new ProducerRecord<byte[], byte[]>(input, value);
                record.headers().add("labelstream-id", id.getBytes(StandardCharsets.UTF_8));
                producer.send(record).get();
            }
            while (!pending.isEmpty()) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    String text = pending.remove(header(record, "labelstream-id"));
                    if (text != null) {
                        System.out.println(describe(record, dead, text));
                    }
                }
            }
        }
    }

    private static String describe(ConsumerRecord<byte[], byte[]> record, String dead, String text) throws Exception {
        if (record.topic().equals(dead)) {
            return "dead letter: " + header(record, "labelstream-error-reason") + ": "
                + header(record, "labelstream-error-message");
        }
        JsonNode event = JSON.readTree(record.value());
        return String.format(Locale.ROOT, "%s %.4f %s", event.get("label").asText(), event.get("score").asDouble(), text);
    }

    private static String header(ConsumerRecord<byte[], byte[]> record, String name) {
        var found = record.headers().lastHeader(name);
        return found == null ? null : new String(found.value(), StandardCharsets.UTF_8);
    }

    private static String argument(String[] args, int at, String otherwise) {
        return args.length > at ? args[at] : otherwise;
    }
}
