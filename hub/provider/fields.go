package provider

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Fields are the configured values of one provider. A Kind reads each field once, by its
// name. What it does not read is unknown and refused.
type Fields struct {
	ID     string            // of the provider
	Values map[string]string // by name
	// ReadSecret returns the secret in the environment variable or the file of that
	// name; one of the two is "".
	ReadSecret func(variable, file string) (string, error)
	// ReadKey is ReadSecret for a key, which may have several lines; nil: ReadSecret.
	ReadKey func(variable, file string) (string, error)

	known   []string
	secrets []string
	errs    []error
}

// FieldError is an error of one field.
type FieldError struct {
	Field string
	Err   error
}

// Error names the field.
func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *FieldError) Unwrap() error { return e.Err }

// Fail records an error of a field.
func (f *Fields) Fail(name string, err error) {
	f.errs = append(f.errs, &FieldError{name, err})
}

// Text returns a required field. hint says where the operator finds the value.
func (f *Fields) Text(name, hint string) string {
	text := f.Optional(name, "")
	if text == "" {
		f.Fail(name, errors.New("required, "+hint))
	}
	return text
}

// Optional returns a field, or the default if it is not set.
func (f *Fields) Optional(name, byDefault string) string {
	f.known = append(f.known, name)
	if text := f.Values[name]; text != "" {
		return text
	}
	return byDefault
}

// Bool returns a field that is true or false, or the default if it is not set.
func (f *Fields) Bool(name string, byDefault bool) bool {
	text := f.Optional(name, "")
	if text == "" {
		return byDefault
	}
	is, err := strconv.ParseBool(text)
	if err != nil {
		f.Fail(name, fmt.Errorf("%.40q: true or false", text))
	}
	return is
}

// Secret returns a required secret. The configuration names a file that contains it
// (name_file) or an environment variable (name_env); it never contains the secret
// itself.
func (f *Fields) Secret(name string) string { return f.secret(name, f.ReadSecret) }

// Key is Secret for a key, which may have several lines (PEM, RFC 7468).
func (f *Fields) Key(name string) string {
	if f.ReadKey != nil {
		return f.secret(name, f.ReadKey)
	}
	return f.Secret(name)
}

func (f *Fields) secret(name string, read func(variable, file string) (string, error)) string {
	if secret := f.Values[name]; secret != "" && read == nil {
		f.known = append(f.known, name) // the short form has read it
		f.secrets = append(f.secrets, secret)
		return secret
	}
	variable, file := f.Optional(name+"_env", ""), f.Optional(name+"_file", "")
	if (variable == "") == (file == "") {
		f.Fail(name, fmt.Errorf("%s_env (the name of a variable) or %s_file (a path) is required, one of both", name, name))
		return ""
	}
	secret, err := read(variable, file)
	if err != nil {
		if file != "" {
			name += "_file"
		} else {
			name += "_env"
		}
		f.Fail(name, err)
	}
	f.secrets = append(f.secrets, secret)
	return secret
}

// OptionalSecret returns a secret, or "" if the configuration names none.
func (f *Fields) OptionalSecret(name string) string {
	if f.Values[name+"_env"] == "" && f.Values[name+"_file"] == "" {
		f.known = append(f.known, name+"_env", name+"_file")
		return ""
	}
	return f.Secret(name)
}

// Names returns the names of the fields that were read.
func (f *Fields) Names() []string { return f.known }

// Digest identifies the configuration, with the secrets that were read. Call it after
// all fields are read.
func (f *Fields) Digest() [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q", f.ID, f.secrets)
	for _, name := range f.known {
		fmt.Fprintf(h, " %q=%q", name, f.Values[name])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Err returns what is wrong with the fields: FieldErrors, joined. Call it after all
// fields are read.
func (f *Fields) Err() error {
	errs := slices.Clone(f.errs)
	var unknown []string
	for name := range f.Values {
		if !slices.Contains(f.known, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		errs = append(errs, &FieldError{name, fmt.Errorf("unknown field; known are id, kind, %s", strings.Join(f.known, ", "))})
	}
	return errors.Join(errs...)
}
