// Writes the fixtures of the Go SDK, and reads what Gulo writes: go mod tidy && go run . ../..
package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
)

const software = "github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2 v2.16.2 (Go), WriteProducerMessage, %s"

type given struct {
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Type        string          `json:"type"`
	Time        *string         `json:"time"`
	Subject     *string         `json:"subject"`
	ContentType *string         `json:"datacontenttype"`
	Extensions  map[string]any  `json:"extensions"`
	Data        *map[string]any `json:"data"`

	expectedData *map[string]any
}

type fixture struct {
	Software string   `json:"software"`
	Key      []byte   `json:"key"`
	Headers  [][2]any `json:"headers"`
	Value    []byte   `json:"value"`
	Expected given    `json:"expected"`
}

func main() {
	root := os.Args[1]
	var cases map[string]json.RawMessage
	must(json.Unmarshal(must1(os.ReadFile(filepath.Join(root, "generate/cases.json"))), &cases))
	must(os.MkdirAll(filepath.Join(root, "go"), 0o755))
	for name, raw := range cases {
		var g given
		must(json.Unmarshal(raw, &g))
		write(root, "binary", name, g, false)
		write(root, "structured", name, asWritten(name, g), false)
		// What it makes of JSON that the application has encoded itself.
		if name == "json" {
			write(root, "structured", "json-as-bytes", g, true)
		}
	}
	for _, pattern := range []string{"binary-*", "structured-*"} {
		for _, path := range must1(filepath.Glob(filepath.Join(root, "ours", pattern))) {
			read(path)
		}
	}
}

// What Gulo wrote is read as it was meant.
func read(path string) {
	var f struct {
		Headers  [][2]string
		Value    []byte
		Expected given
	}
	must(json.Unmarshal(must1(os.ReadFile(path)), &f))
	message := sarama.ConsumerMessage{Value: f.Value}
	for _, h := range f.Headers {
		value := must1(base64.StdEncoding.DecodeString(h[1]))
		message.Headers = append(message.Headers, &sarama.RecordHeader{Key: []byte(h[0]), Value: value})
	}
	e := must1(binding.ToEvent(context.Background(), kafka_sarama.NewMessageFromConsumerMessage(&message)))
	must(e.Validate())
	x := f.Expected
	same(path, e.ID(), x.ID)
	same(path, e.Source(), x.Source)
	same(path, e.Type(), x.Type)
	same(path, e.DataContentType(), *x.ContentType)
	same(path, e.Time().UTC(), must1(time.Parse(time.RFC3339Nano, *x.Time)))
	if x.Subject != nil {
		same(path, e.Subject(), *x.Subject)
	}
	for name, value := range x.Extensions {
		same(path, e.Extensions()[name], value)
	}
	if wanted, ok := (*x.Data)["json"]; ok {
		var found any
		must(json.Unmarshal(e.Data(), &found))
		same(path, found, wanted)
	} else {
		same(path, base64.StdEncoding.EncodeToString(e.Data()), (*x.Data)["base64"].(string))
	}
	fmt.Println("read", path)
}

func same(path string, found, expected any) {
	if !reflect.DeepEqual(found, expected) {
		panic(fmt.Sprintf("%s: %v is not %v", path, found, expected))
	}
}

func write(root, mode, name string, g given, encoded bool) {
	message := sarama.ProducerMessage{}
	ctx := binding.WithForceBinary(context.Background())
	if mode == "structured" {
		ctx = binding.WithForceStructured(context.Background())
	}
	e := toEvent(g, encoded)
	must(kafka_sarama.WriteProducerMessage(ctx, binding.ToMessage(&e), &message))
	f := fixture{Software: fmt.Sprintf(software, mode), Headers: [][2]any{}, Expected: expected(g)}
	if message.Key != nil {
		f.Key = must1(message.Key.Encode())
	}
	if message.Value != nil {
		f.Value = must1(message.Value.Encode())
	}
	for _, h := range message.Headers {
		f.Headers = append(f.Headers, [2]any{string(h.Key), h.Value})
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	must(encoder.Encode(f))
	must(os.WriteFile(filepath.Join(root, "go", mode+"-"+name+".json"), out.Bytes(), 0o644))
}

func toEvent(g given, encoded bool) event.Event {
	e := event.New()
	e.SetID(g.ID)
	e.SetSource(g.Source)
	e.SetType(g.Type)
	if g.Time != nil {
		e.SetTime(must1(time.Parse(time.RFC3339Nano, *g.Time)))
	}
	if g.Subject != nil {
		e.SetSubject(*g.Subject)
	}
	for name, value := range g.Extensions {
		if number, ok := value.(float64); ok {
			value = int32(number)
		}
		e.SetExtension(name, value)
	}
	if g.Data != nil {
		must(e.SetData(*g.ContentType, data(*g.Data, encoded)))
	}
	return e
}

// SetData takes bytes as they are, and encodes anything else by its content type.
func data(given map[string]any, encoded bool) any {
	if text, ok := given["text"]; ok {
		return text
	}
	if encoded, ok := given["base64"]; ok {
		return must1(base64.StdEncoding.DecodeString(encoded.(string)))
	}
	if encoded {
		return must1(json.Marshal(given["json"]))
	}
	return given["json"]
}

// It takes only application/json for JSON: of any other it writes the text, which a reader of JSON finds to be a string.
func asWritten(name string, g given) given {
	g.expectedData = g.Data
	if name == "json-suffix" {
		g.expectedData = &map[string]any{"json": string(must1(json.Marshal((*g.Data)["json"])))}
	}
	return g
}

func expected(g given) given {
	if g.expectedData != nil {
		g.Data = g.expectedData
	}
	said := map[string]any{}
	for name, value := range g.Extensions {
		said[name] = fmt.Sprint(value)
	}
	g.Extensions = said
	return g
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func must1[T any](value T, err error) T {
	must(err)
	return value
}
