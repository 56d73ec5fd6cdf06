package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"loginhub/hub"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// revokeKey is POST /keys/{kid}/revoke on the operator's listener: 204; all nodes follow
// within seconds.
func revokeKey(w http.ResponseWriter, r *http.Request, node *hub.Hub) {
	switch err := node.MasterKeys.Revoke(r.Context(), r.PathValue("kid"), peerOf(r)); {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, hub.ErrNoSuchKey):
		http.Error(w, "no key of LOGINHUB_KEYS has this kid; /.well-known/jwks.json lists the kids, those of Ed25519 keys name master keys", http.StatusNotFound)
	case errors.Is(err, hub.ErrLastKey):
		http.Error(w, "not revoked: it is the last usable key; append another one to LOGINHUB_KEYS on all nodes first", http.StatusConflict)
	case errors.Is(err, ticket.ErrNotReplicated):
		http.Error(w, "revoked, but not enough replicas of Redis have said that they have it: a failover may undo it; try again", http.StatusServiceUnavailable)
	case errors.Is(err, hub.ErrAuditStalled):
		http.Error(w, "not revoked: the audit log takes no lines, and LOGINHUB_AUDIT_REQUIRED is set; use another node, or make the audit log writable", http.StatusServiceUnavailable)
	default:
		http.Error(w, "Redis does not answer: nothing is certain; try again", http.StatusServiceUnavailable)
	}
}

// revokeTimeout bounds the request of `loginhub keys revoke`.
const revokeTimeout = 30 * time.Second

// keysCmd is `loginhub keys`.
type keysCmd struct {
	Revoke keysRevokeCmd `cmd:"" help:"Revoke a master key at once on all nodes: nothing is signed with it any more, and nothing accepted. Logins under way with it start again."`
}

type keysRevokeCmd struct {
	KID   string `arg:"" name:"kid" help:"The key's id: the kid of its Ed25519 key in /.well-known/jwks.json."`
	Admin string `env:"-" help:"URL of a node's admin address. Default: that of LOGINHUB_ADMIN_LISTEN." placeholder:"URL"`
}

// kidLast returns the arguments of `loginhub keys revoke -KID …` with the kid last, after
// "--": one kid in 64 begins with a dash, and would be taken for a flag.
func kidLast(args []string) []string {
	if len(args) < 3 || args[0] != "keys" || args[1] != "revoke" || len(args[2]) < 3 || args[2][0] != '-' || args[2][1] == '-' {
		return args
	}
	return slices.Concat(args[:2], args[3:], []string{"--", args[2]})
}

// Run asks a node to revoke the key. An error is exit code 1.
func (k keysRevokeCmd) Run(c *Config) error {
	if err := c.readSecretSetting("LOGINHUB_ADMIN_TOKEN", &c.AdminToken, &c.AdminTokenFile); err != nil {
		return &usageError{err}
	}
	admin := k.Admin
	if admin == "" {
		addr, err := dialAddress(c.AdminListen)
		if err != nil {
			return &usageError{fmt.Errorf("LOGINHUB_ADMIN_LISTEN: %w", err)}
		}
		admin = "http://" + addr
	}
	ctx, cancel := context.WithTimeout(context.Background(), revokeTimeout)
	defer cancel()
	ask, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(admin, "/")+"/keys/"+url.PathEscape(k.KID)+"/revoke", nil)
	if err != nil {
		return &usageError{fmt.Errorf("--admin: %w", provider.CleanCause(err))}
	}
	if c.AdminToken != "" {
		ask.Header.Set("Authorization", "Bearer "+c.AdminToken)
	}
	answer, err := http.DefaultClient.Do(ask)
	if err != nil {
		return fmt.Errorf("revoke key: %s: %w", hideSecrets(admin), provider.CleanCause(err))
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		text, err := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
		return errors.Join(fmt.Errorf("revoke key: %s answered %d: %s", hideSecrets(admin), answer.StatusCode, strings.TrimSpace(string(text))), err)
	}
	fmt.Println("revoked on all nodes:", k.KID)
	fmt.Println("Now remove the key from LOGINHUB_KEYS on every node.")
	return nil
}
