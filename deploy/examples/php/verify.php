<?php
// Verifies the hub's tokens. Needs the extension sodium, which PHP 7.2 and later include.
declare(strict_types=1);

const LEEWAY = 60; // seconds by which the clocks may differ

final class Refused extends RuntimeException {}

final class Verifier
{
    /** @param string $store a directory for this site only: the hub's keys and the used tokens
     *  @param int $keysMaxAge how many seconds the hub's keys are used if it cannot be reached; then every token is an error */
    public function __construct(private string $hub, private string $clientId, private string $store, private int $keysMaxAge = 86400)
    {
        $this->hub = rtrim($hub, '/');
        if (!is_dir($store) && !mkdir($store, 0700, true) && !is_dir($store)) {
            throw new LogicException("$store cannot be made");
        }
    }

    /** @return array<string, mixed> the claims of a login; $nonce is that of this browser's session */
    public function verify(string $token, string $nonce): array
    {
        $parts = explode('.', $token);
        if ($nonce === '' || strlen($token) > 8192 || count($parts) !== 3) {
            throw new Refused('no nonce, or no token');
        }
        [$head, $body, $signature] = $parts;
        $header = self::read($head);
        if (($header['alg'] ?? null) !== 'EdDSA' || ($header['typ'] ?? null) !== 'login+jwt' || isset($header['crit'])) {
            throw new Refused('not a login token');
        }
        $key = $this->key((string) ($header['kid'] ?? ''));
        $signature = self::raw($signature);
        if (strlen($signature) !== SODIUM_CRYPTO_SIGN_BYTES || !sodium_crypto_sign_verify_detached($signature, "$head.$body", $key)) {
            throw new Refused('not signed by the hub');
        }
        $claims = self::read($body);
        $reason = match (true) {
            ($claims['iss'] ?? null) !== $this->hub => 'made by another hub',
            ($claims['aud'] ?? null) !== $this->clientId => 'made for another site',
            !(($claims['exp'] ?? 0) + LEEWAY > time()) => 'expired',
            !(($claims['iat'] ?? PHP_INT_MAX) - LEEWAY <= time()) => 'not valid yet',
            !hash_equals($nonce, (string) ($claims['nonce'] ?? '')) => 'made for another browser session',
            !is_string($claims['jti'] ?? null) || !is_string($claims['sub'] ?? null) => 'incomplete',
            !$this->first($claims['jti'], $claims['exp'] + LEEWAY + 60) => 'used before', // last
            default => null,
        };
        if ($reason !== null) {
            throw new Refused($reason);
        }
        return $claims;
    }

    /** Stores a token's id; true only the first time. With several machines use Redis, SET jti 1 NX EXAT until. */
    private function first(string $jti, int $until): bool
    {
        foreach (glob("$this->store/used-*") ?: [] as $file) {
            if ((int) @filemtime($file) < time() - 60) { // a file that is being created has the current time
                @unlink($file);
            }
        }
        $file = @fopen($name = "$this->store/used-" . hash('sha256', $jti), 'x'); // exactly one process creates it
        return $file !== false && touch($name, $until);
    }

    /** The hub's key with that kid: cached five minutes; fetched again for an unknown one, at most every ten seconds. */
    private function key(string $kid): string
    {
        $file = "$this->store/jwks.json";
        $keys = self::keys(@file_get_contents($file) ?: '');
        clearstatcache();
        $age = time() - (int) @filemtime($file);
        $rest = time() - (int) @filemtime("$file.tried"); // since the last failed fetch
        if ($keys === [] || ($rest > 10 && ($age > 300 || (!isset($keys[$kid]) && $age > 10)))) {
            $context = stream_context_create(['http' => ['timeout' => 5, 'follow_location' => 0]]);
            $text = @file_get_contents("$this->hub/.well-known/jwks.json", false, $context, 0, 524288) ?: '';
            if (($fetched = self::keys($text)) !== []) {
                file_put_contents("$file." . getmypid(), $text);
                rename("$file." . getmypid(), $file);
                $keys = $fetched;
                $age = 0;
            } elseif ($keys === []) {
                throw new RuntimeException('the hub\'s keys cannot be had');
            } else {
                @touch("$file.tried"); // the last ones are used, for keysMaxAge; ask again in ten seconds
            }
        }
        if ($age > $this->keysMaxAge) {
            throw new RuntimeException("the hub's keys cannot be had, and the last ones are $age s old");
        }
        return $keys[$kid] ?? throw new Refused('signed with an unknown key');
    }

    /**
     * The keys of a JWKS by their kid. Keys that this verifier cannot use are ignored (RFC 7517, section 5).
     * @return array<string, string>
     */
    private static function keys(string $text): array
    {
        $set = json_decode($text, true)['keys'] ?? null;
        $keys = [];
        foreach (is_array($set) ? $set : [] as $jwk) {
            try {
                $usable = ($jwk['kty'] ?? '') === 'OKP' && ($jwk['crv'] ?? '') === 'Ed25519' && ($jwk['use'] ?? 'sig') === 'sig'
                    && in_array('verify', $jwk['key_ops'] ?? ['verify'], true) && is_string($jwk['kid'] ?? null);
                if ($usable && strlen($x = self::raw($jwk['x'] ?? '')) === SODIUM_CRYPTO_SIGN_PUBLICKEYBYTES) {
                    $keys[$jwk['kid']] = $x;
                }
            } catch (Refused | TypeError) {
                continue;
            }
        }
        return $keys;
    }

    private static function raw(string $part): string
    {
        try {
            return sodium_base642bin($part, SODIUM_BASE64_VARIANT_URLSAFE_NO_PADDING);
        } catch (SodiumException) {
            throw new Refused('not a JWT');
        }
    }

    /** @return array<string, mixed> */
    private static function read(string $part): array
    {
        $object = json_decode(self::raw($part), true);
        return is_array($object) ? $object : throw new Refused('not a JWT');
    }
}
