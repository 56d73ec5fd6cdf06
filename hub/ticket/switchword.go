package ticket

import (
	"encoding/json"
	"fmt"
)

// SwitchWord is the kill switch of one client as the nodes keep it in Redis, sealed
// as records are.
type SwitchWord struct {
	Client string `json:"client"`
	On     bool   `json:"on"`
	// At orders a client's words: a later one is greater, also after a loss of
	// earlier ones. It is Redis's clock in ms at the time of the switch.
	At int64 `json:"at"`
}

// Newer reports whether w comes after other. Of two at the same time the one that
// is off counts.
func (w SwitchWord) Newer(other SwitchWord) bool {
	return w.At > other.At || w.At == other.At && !w.On && other.On
}

// SealSwitch turns a word into the bytes that are stored, under the current key.
func (r *Keyring) SealSwitch(w SwitchWord) ([]byte, error) {
	body, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("seal switch: %w", err)
	}
	return r.keys[r.current].seal(sealSwitch, body)
}

// OpenSwitch reads a client's word and the id of the key that it is under. Its
// errors are those of Open.
func (r *Keyring) OpenSwitch(client string, sealed []byte) (w SwitchWord, key string, err error) {
	k, body, err := r.unseal(sealSwitch, sealed)
	if err != nil {
		return SwitchWord{}, "", err
	}
	if err := json.Unmarshal(body, &w); err != nil {
		return SwitchWord{}, "", fmt.Errorf("sealed switch: %w: %w", err, ErrBrokenSeal)
	}
	if w.Client != client {
		return SwitchWord{}, "", fmt.Errorf("sealed for another client: %w", ErrBrokenSeal)
	}
	return w, k.ID, nil
}
