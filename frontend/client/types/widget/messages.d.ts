export type Messages = Record<'title' | 'alt' | 'making' | 'pending' | 'scanWith' | 'here' | 'scanned' | 'confirmed' | 'consumed' | 'rejected' | *   'expired' | 'error' | 'claimed' | 'offline' | 'left' | 'retryIn' | 'match' | 'someone' | 'notMe' | 'refresh' | 'again' | 'retry' | *   'dir', string> & Record<'rejectedBy' | 'open' | 'errors' | 'apps', Record<string, string>>;
/**
 * @typedef {Record<'title' | 'alt' | 'making' | 'pending' | 'scanWith' | 'here' | 'scanned' | 'confirmed' | 'consumed' | 'rejected' |
 *   'expired' | 'error' | 'claimed' | 'offline' | 'left' | 'retryIn' | 'match' | 'someone' | 'notMe' | 'refresh' | 'again' | 'retry' |
 *   'dir', string> & Record<'rejectedBy' | 'open' | 'errors' | 'apps', Record<string, string>>} Messages
 */
/** The widget's texts, by language tag. `{name}` is a placeholder. @type {Record<string, Messages>} */
export declare const messages: Record<string, Messages>;
