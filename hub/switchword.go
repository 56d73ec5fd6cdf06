package hub

import (
	"errors"
	"strings"
	"time"

	"loginhub/hub/ticket"
)

// word is a client's switch as this node knows it. The zero word with On is that of
// a client that was never switched.
type word struct {
	ticket.SwitchWord
	sealed string // as it stands in Redis; "" if nothing does
	key    string // that it is sealed under
}

// legacyOn is what the word "on" of earlier versions began with, which was not
// sealed. It says no more than an absent word.
const legacyOn = "on "

// resealEvery is how often at most this node seals words under its current key
// again, so that nodes whose current keys differ, in a rotation, do not overwrite
// each other all the time.
const resealEvery = 30 * time.Second

func readWord(keys *ticket.Keyring, client, text string) (w word, err error) {
	if text == "" || strings.HasPrefix(text, legacyOn) {
		return word{SwitchWord: ticket.SwitchWord{Client: client, On: true}}, nil
	}
	w.sealed = text
	w.SwitchWord, w.key, err = keys.OpenSwitch(client, []byte(text))
	return w, err
}

// judge takes what Redis says of a client. The latest word counts, whatever Redis
// says: an older or a forged one, or none, is replaced by restore, if it is not "".
// readable is false if this node cannot tell how the client stands: the word is
// under a key, or in a version, that it does not have, or it is forged and the node
// has never read another. Called with opMu held.
func (s *killSwitch) judge(keys *ticket.Keyring, client, text string) (readable bool, restore string, err error) {
	latest, seen := s.words[client]
	w, err := readWord(keys, client, text)
	switch {
	case errors.Is(err, ticket.ErrUnknownKey):
		return false, "", err
	case err != nil:
		return seen, latest.sealed, err
	case seen && latest.Newer(w.SwitchWord):
		return true, latest.sealed, nil
	}
	s.words[client] = w
	if w.sealed == "" || w.key == keys.Current() || time.Since(s.resealed) < resealEvery {
		return true, "", nil
	}
	sealed, err := keys.SealSwitch(w.SwitchWord)
	return true, string(sealed), err
}
