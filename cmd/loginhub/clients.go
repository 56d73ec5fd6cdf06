package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"loginhub/hub/client"
	"loginhub/hub/provider"
)

// clientsFile is the format of the clients file. Unknown fields are errors: a
// misspelt option must not silently have its default.
type clientsFile struct {
	Providers []rawProvider  `yaml:"providers"`
	Branding  *brandingEntry `yaml:"branding"` // of clients without their own
	Clients   []clientEntry  `yaml:"clients"`
}

var clientsFileFields = []string{"providers", "branding", "clients"}

type clientEntry struct {
	ID             string   `yaml:"id"`
	Label          label    `yaml:"label"`
	Origins        []string `yaml:"origins"`
	Providers      []string `yaml:"providers"`
	Subject        string   `yaml:"subject"`
	NumberMatching *numbers `yaml:"number_matching"` // nil: by the providers
	TokenTTL       string   `yaml:"token_ttl"`
	Mismatch       string   `yaml:"address_mismatch"`
	PhoneNumber    string   `yaml:"phone_number"`
	SubjectMap     string   `yaml:"subject_map"`
	Delivery       string   `yaml:"delivery"`
	Encryption     string   `yaml:"token_encryption"`

	LivingCode       string `yaml:"living_code"`
	LivingCodeWindow string `yaml:"living_code_window"`

	Branding *brandingEntry `yaml:"branding"`
	Events   *eventsEntry   `yaml:"events"`

	LoginNotice *noticeEntry `yaml:"login_notice"`

	// The client's own values, instead of the deployment's.
	QR        string       `yaml:"qr"`
	Wechat    *appEntry    `yaml:"wechat"`
	WechatWeb *appEntry    `yaml:"wechat_web"`
	App       *issuerEntry `yaml:"app"`

	OpenID openIDEntry `yaml:",inline"`

	line int
}

type label struct {
	ZH string `yaml:"zh"`
	EN string `yaml:"en"`
}

// UnmarshalYAML keeps the line number for errors.
func (c *clientEntry) UnmarshalYAML(n *yaml.Node) error {
	type plain clientEntry
	if err := decodeStrict(n, (*plain)(c), slices.Concat(clientFields, openIDFields)...); err != nil {
		return err
	}
	c.line = n.Line
	return nil
}

// UnmarshalYAML refuses languages that the pages do not have. A plain text is the label
// in every language.
func (l *label) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&l.EN)
	}
	type plain label
	return decodeStrict(n, (*plain)(l), "zh", "en")
}

// check refuses a label of which nothing is visible.
func (l label) check() error {
	for _, text := range []string{l.ZH, l.EN} {
		if text != "" && provider.CleanText(text, len(text)) == "" {
			return fmt.Errorf("label %+.80q: nothing of it is visible; write the site's name, or remove the label to show the id", text)
		}
	}
	return nil
}

var clientFields = []string{"id", "label", "origins", "providers", "subject", "number_matching", "token_ttl", "address_mismatch", "subject_map", "phone_number", "delivery", "token_encryption", "branding", "events",
	"living_code", "living_code_window",
	"qr", "wechat", "wechat_web", "app", "login_notice"}

// clientsConfig is what the clients file configures.
type clientsConfig struct {
	clients []*client.Client
	site    credentials            // the deployment's, with the file's own providers
	own     map[string]credentials // complete, by client with credentials of its own
}

// clientsFile parses the clients file, or the clients in the file of --config.
func (c *Config) clientsFile(path string) (file clientsFile, err error) {
	if path == c.ConfigFile {
		if err = decodeStrict(c.file.clients, &file, clientsFileFields...); err != nil {
			err = fmt.Errorf("%s: %w", path, explainYAML(err))
		}
		return file, err
	}
	text, err := c.read(path)
	if err != nil {
		return file, err
	}
	if file, err = parseClients(text); err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return file, err
}

// readClients reads the clients file. c has the values that mini-programs and website
// applications of clients share; base are the credentials of the variables.
func (c *Config) readClients(path string, base credentials) (clientsConfig, error) {
	with := clientsConfig{site: base, own: map[string]credentials{}}
	file, err := c.clientsFile(path)
	if err != nil {
		return with, err
	}
	for _, raw := range file.Providers {
		e, err := raw.listed(c.read)
		if err == nil && slices.Contains(with.site.ids(), e.id) {
			err = fmt.Errorf("line %d: provider id %s is used twice, or a variable configures it too; each provider needs its own", raw.line, e.id)
		}
		if err != nil {
			return with, fmt.Errorf("%s: %w", path, err)
		}
		with.site.providers = append(with.site.providers, e)
	}
	sandbox := len(with.site.providers) == 0 && !slices.ContainsFunc(file.Clients, func(e clientEntry) bool {
		return e.Wechat != nil || e.WechatWeb != nil || e.App != nil
	})
	if _, err := file.Branding.branding(c.read); err != nil {
		return with, fmt.Errorf("%s: branding: %w", path, err)
	}
	for _, entry := range file.Clients {
		entry.Branding = entry.Branding.over(file.Branding)
		err := c.addClient(&with, entry, sandbox)
		if err != nil {
			return with, fmt.Errorf("%s: line %d: %w", path, entry.line, err)
		}
	}
	return with, nil
}

// addClient adds the client of an entry.
func (c *Config) addClient(with *clientsConfig, entry clientEntry, sandbox bool) error {
	own, err := c.clientCredentials(entry, with.site)
	if err != nil {
		return err
	}
	providers := own.ids()
	if sandbox {
		providers = []string{developmentKind().Name}
	}
	if entry.hasCredentials() {
		with.own[entry.ID] = own
	}
	site, err := entry.toClient(providers)
	if err != nil {
		return err
	}
	if err := c.applyPhoneNumber(site, entry.PhoneNumber, own); err != nil {
		return fmt.Errorf("phone_number %.40q: %w", entry.PhoneNumber, err)
	}
	if err := entry.LoginNotice.apply(site, own); err != nil {
		return fmt.Errorf("login_notice: %w", err)
	}
	if site.Branding, err = entry.Branding.branding(c.read); err != nil {
		return fmt.Errorf("branding: %w", err)
	}
	if site.Events, err = entry.Events.events(c.read); err != nil {
		return err
	}
	if err := c.setNumbers(site, entry.NumberMatching, own); err != nil {
		return err
	}
	if site.Delivery, err = oneOf("delivery", entry.Delivery, "", client.DeliveryToken, client.DeliveryCode); err != nil {
		return err
	}
	if err := c.applyTokenEncryption(site, entry.Encryption); err != nil {
		return err
	}
	if err := entry.OpenID.apply(site, c.read, !strings.HasPrefix(c.PublicURL, "https://")); err != nil {
		return err
	}
	if err := c.applyLivingCode(site, entry, own); err != nil {
		return err
	}
	if site.OpenID() && c.RecordVersion == 1 {
		return errors.New("OpenID (redirect_uris, grants) needs LOGINHUB_RECORD_VERSION=2")
	}
	if slices.ContainsFunc(with.clients, func(c *client.Client) bool { return c.ID == site.ID }) {
		return fmt.Errorf("id %s is used twice; each client needs its own", site.ID)
	}
	with.clients = append(with.clients, site)
	return nil
}

// opensLinks reports whether the client takes a provider that logs in inside its app.
func (c credentials) opensLinks(site *client.Client) bool {
	return slices.ContainsFunc(c.providers, func(e providerEntry) bool { return e.kind.InAgent != nil && site.AllowsProvider(e.id) })
}

// applyPhoneNumber sets whether the client asks for phone numbers. If it requires them, it
// accepts only providers that give them.
func (c *Config) applyPhoneNumber(site *client.Client, text string, own credentials) error {
	if site.PhoneNumber = text; text == "" {
		return nil
	}
	if !slices.Contains([]string{client.PhoneAsk, client.PhoneRequire}, text) {
		return errors.New("ask or require")
	}
	if c.RecordVersion == 1 {
		return errors.New("needs LOGINHUB_RECORD_VERSION=2, because version 1 does not encrypt it")
	}
	var giving []string
	for _, e := range own.providers {
		if gives := e.kind.PhoneNumber; gives && site.AllowsProvider(e.id) {
			giving = append(giving, e.id)
		} else if !gives && text == client.PhoneRequire && slices.Contains(site.Providers, e.id) {
			return fmt.Errorf("the provider %s gives none; take it from providers, or use ask", e.id)
		}
	}
	if len(giving) == 0 {
		return errors.New("none of the client's providers gives phone numbers; a mini-program (kind wechat) does")
	}
	if text == client.PhoneRequire {
		site.Providers = giving
	}
	return nil
}

// parseClients parses a clients file: one document with at least one client.
func parseClients(text []byte) (file clientsFile, err error) {
	const expected = "expected a list under 'clients', for example\nclients:\n  - id: demo\n    origins: [https://www.example.com]"
	if text, err = decodeText(text); err != nil {
		return file, err
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	switch err := d.Decode(&file); {
	case errors.Is(err, io.EOF):
		return file, errors.New("the file is empty, or holds only comments; " + expected)
	case err != nil:
		return file, explainYAML(err)
	case len(file.Clients) == 0:
		return file, errors.New("there are no clients in the file; " + expected)
	}
	if err := d.Decode(&clientsFile{}); !errors.Is(err, io.EOF) {
		return file, errors.New("there is a second document in the file, after '---'; keep all clients in one list")
	}
	return file, nil
}

var clientID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (e clientEntry) toClient(providers []string) (*client.Client, error) {
	c := &client.Client{ID: e.ID, LabelZH: e.Label.ZH, LabelEN: e.Label.EN, Providers: e.Providers,
		Subject: e.Subject, AddressMismatch: e.Mismatch, SubjectMap: e.SubjectMap}
	if !clientID.MatchString(e.ID) {
		return nil, fmt.Errorf("id %.80q: 1 to 64 letters, digits, dots, dashes and underscores", e.ID)
	}
	for _, text := range e.Origins {
		origin, err := clientOrigin(text)
		if err != nil {
			return nil, err
		}
		c.Origins = append(c.Origins, origin)
	}
	if err := e.Label.check(); err != nil {
		return nil, err
	}
	if len(providers) == 0 {
		return nil, errors.New("no provider: configure one for all, or one of its own")
	}
	for _, p := range e.Providers {
		if !slices.Contains(providers, p) {
			return nil, fmt.Errorf("provider %.40q is not configured here; there is %s", p, strings.Join(providers, ", "))
		}
	}
	if !slices.Contains([]string{"", provider.SubjectOpenID, provider.SubjectUnionID}, e.Subject) {
		return nil, fmt.Errorf("subject %.40q: openid or unionid", e.Subject)
	}
	if !slices.Contains([]string{"", client.MismatchIgnore, client.MismatchWarn, client.MismatchRefuse}, e.Mismatch) {
		return nil, fmt.Errorf("address_mismatch %.40q: ignore, warn or refuse", e.Mismatch)
	}
	if u, err := parseEndpoint(e.SubjectMap); e.SubjectMap != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http") {
		return nil, fmt.Errorf("subject_map %.120q: an absolute http or https URL without a fragment", hideSecrets(e.SubjectMap))
	}
	if e.TokenTTL != "" {
		ttl, err := time.ParseDuration(e.TokenTTL)
		if err != nil || ttl <= 0 {
			return nil, fmt.Errorf("token_ttl %.40q: a duration like 5m", e.TokenTTL)
		}
		c.TokenTTL = ttl
	}
	return c, nil
}

// safeguardWarnings warns of each client that asks for a protection against relayed
// codes and that accepts a provider with a page of its own without naming it. Such a
// login bypasses both protections. It is bound to the browser that started it: no number
// is chosen, and the compared addresses are both the browser's. An attacker starts it
// themselves and shows a victim the provider's QR code.
func (s *settings) safeguardWarnings() (texts []string) {
	for _, c := range s.clients {
		with, own := s.clientCredentials[c.ID]
		if !own {
			with = s.site
		}
		i := slices.IndexFunc(with.providers, func(e providerEntry) bool { return e.kind.ByRedirect })
		if i < 0 || len(c.Providers) > 0 {
			continue
		}
		var safeguards []string
		if (c.NumberMatching || c.AutoMatching) && !with.opensLinks(c) { // by the operator's own setting
			safeguards = append(safeguards, "number_matching")
		}
		if c.AddressMismatch == client.MismatchRefuse {
			safeguards = append(safeguards, "address_mismatch: refuse")
		}
		if id := with.providers[i].id; len(safeguards) > 0 {
			texts = append(texts, fmt.Sprintf("client %s: %s does nothing against relayed codes of %s, which it takes because its providers are not named; "+
				"name them in the clients file, %s too only if you mean it", c.ID, strings.Join(safeguards, " and "), id, id))
		}
	}
	return texts
}

// clientIDs returns the clients' ids, in order.
func clientIDs(clients []*client.Client) []string {
	ids := make([]string, len(clients))
	for i, c := range clients {
		ids[i] = c.ID
	}
	return ids
}
