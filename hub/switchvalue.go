package hub

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"loginhub/hub/ticket"
)

// switchValue is a client's switch as this node has read it. The zero value with On is the
// switch of a client that was never switched.
type switchValue struct {
	ticket.SwitchWord
	sealed string // the value in Redis; "" for none
	key    string // id of the key that seals it
}

// legacyOn starts the unsealed value "on" of earlier versions. It counts as no value.
const legacyOn = "on "

// resealEvery is the shortest time between two rounds in which this node seals values
// again under its current key. During a key rotation the nodes' current keys differ;
// without the limit they would overwrite each other all the time.
const resealEvery = 30 * time.Second

// decodeSwitch decodes a client's value from Redis and checks its seal.
func decodeSwitch(keys *ticket.Keyring, client, text string) (v switchValue, err error) {
	if text == "" || strings.HasPrefix(text, legacyOn) {
		return switchValue{SwitchWord: ticket.SwitchWord{Client: client, On: true}}, nil
	}
	v.sealed = text
	v.SwitchWord, v.key, err = keys.OpenSwitch(client, []byte(text))
	if err == nil && v.On && strings.HasPrefix(client, revokedPrefix) {
		err = fmt.Errorf("no key is ever switched on again: %w", ticket.ErrBrokenSeal)
	}
	return v, err
}

// latestSealed returns the latest value that this node has read, sealed under a key that
// is not revoked; "" if it has none. Called with opMu held.
func (s *killSwitch) latestSealed(keys *ticket.Keyring, client string) (string, error) {
	v := s.values[client]
	if v.sealed == "" || keys.Has(v.key) {
		return v.sealed, nil
	}
	sealed, err := keys.SealSwitch(v.SwitchWord)
	if err != nil {
		return "", err
	}
	v.sealed, v.key = string(sealed), keys.Current()
	s.values[client] = v
	return v.sealed, nil
}

// resolve handles a client's value from Redis. The latest value that this node has read
// stays valid: restore is the value to write if Redis holds an older one, a forged one,
// none, or one under a former key, otherwise "". readable is false if the client may be
// off: the value is under a key or in a version that this node lacks, or it is forged
// and the node has read no other. Called with opMu held.
func (s *killSwitch) resolve(keys *ticket.Keyring, client, text string) (readable bool, restore string, err error) {
	latest, seen := s.values[client]
	v, err := decodeSwitch(keys, client, text)
	switch {
	case errors.Is(err, ticket.ErrUnknownKey):
		return false, "", err
	case err != nil:
		sealed, sealErr := s.latestSealed(keys, client)
		return seen, sealed, errors.Join(err, sealErr)
	case seen && latest.Newer(v.SwitchWord):
		restore, err = s.latestSealed(keys, client)
		return true, restore, err
	}
	s.values[client] = v
	if v.sealed == "" || v.key == keys.Current() || time.Since(s.resealed) < resealEvery {
		return true, "", nil
	}
	sealed, err := keys.SealSwitch(v.SwitchWord)
	return true, string(sealed), err
}
