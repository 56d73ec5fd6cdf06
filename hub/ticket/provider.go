package ticket

import "loginhub/hub/provider"

// Names of package provider under which other packages use it.
type (
	Identity   = provider.Identity
	RetryError = provider.RetryError
)

// Names of package provider under which other packages use it.
const (
	SubjectOpenID  = provider.SubjectOpenID
	SubjectUnionID = provider.SubjectUnionID
)

// Names of package provider under which other packages use it.
var (
	ErrIdentityIncomplete    = provider.ErrIdentityIncomplete
	ErrUserBlocked           = provider.ErrUserBlocked
	ErrCodeInvalid           = provider.ErrCodeInvalid
	ErrProviderMisconfigured = provider.ErrProviderMisconfigured
	ErrProviderUnavailable   = provider.ErrProviderUnavailable

	CleanText = provider.CleanText
)
