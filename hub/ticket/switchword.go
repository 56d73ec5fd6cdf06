package ticket

import (
	"encoding/json"
	"fmt"
)

// SwitchWord is the kill switch of one client as stored in Redis, sealed in version 1.
type SwitchWord struct {
	Client string `json:"client"`
	On     bool   `json:"on"`
	// At orders the values of one client: a later one is greater, even after earlier
	// ones are lost. It is Redis's clock at the time of the switch, in ms.
	At int64 `json:"at"`
}

// Newer reports whether w is later than other. Of two with the same time, "off" counts.
func (w SwitchWord) Newer(other SwitchWord) bool {
	return w.At > other.At || w.At == other.At && !w.On && other.On
}

// SealSwitch returns the value as bytes to store, sealed under the current key.
func (r *Keyring) SealSwitch(w SwitchWord) ([]byte, error) {
	body, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("seal switch: %w", err)
	}
	return r.keys[r.current].authenticate(sealSwitch, body)
}

// OpenSwitch opens a client's value. It returns the value and the id of its key. The
// errors are those of Open.
func (r *Keyring) OpenSwitch(client string, sealed []byte) (w SwitchWord, key string, err error) {
	p, err := r.split(sealSwitch, sealed)
	if err != nil {
		return SwitchWord{}, "", err
	}
	if p.version != versionMAC {
		return SwitchWord{}, "", fmt.Errorf("switch of version %s: %w", p.version, ErrBrokenSeal)
	}
	body, err := p.verify(sealSwitch)
	if err != nil {
		return SwitchWord{}, "", err
	}
	if err := json.Unmarshal(body, &w); err != nil {
		return SwitchWord{}, "", fmt.Errorf("sealed switch: %w: %w", err, ErrBrokenSeal)
	}
	if w.Client != client {
		return SwitchWord{}, "", fmt.Errorf("sealed for another client: %w", ErrBrokenSeal)
	}
	return w, p.key.ID, nil
}
