package hub

import (
	"encoding/json"
	"strings"
	"testing"
)

func FuzzParseAck(f *testing.F) {
	for _, seed := range []string{`{"ack":3}`, `{"ack":"3"}`, `{"ack":3.0}`, `{"ack":1e3}`, `{"ack":null}`, `{"ACK":1}`, `{"ack":1,"ack":2}`, `[]`, ``, "\x00",
		`{"ack":9223372036854775808}`, `{"ack":-1}`, "{\"ack\":1\xff}", strings.Repeat("[", 500)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		seq, ok := parseAck(text)
		if !ok {
			if seq != 0 {
				t.Errorf("%q: nothing, and yet %d", text, seq)
			}
			return
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(text, &object); err != nil {
			t.Errorf("%q is taken for an ack: %v", text, err)
		}
	})
}
