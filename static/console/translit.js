// @ts-check
// Suggested names: letters, digits and _ - . only, from a title in any script.

/** Letters that Unicode does not split into a Latin letter and marks. */
const LETTERS = new Map(
  Object.entries({
    ß: 'ss',
    æ: 'ae',
    œ: 'oe',
    ø: 'o',
    đ: 'd',
    ð: 'd',
    þ: 'th',
    ł: 'l',
    ı: 'i',
    а: 'a',
    б: 'b',
    в: 'v',
    г: 'g',
    д: 'd',
    е: 'e',
    ж: 'zh',
    з: 'z',
    и: 'i',
    к: 'k',
    л: 'l',
    м: 'm',
    н: 'n',
    о: 'o',
    п: 'p',
    р: 'r',
    с: 's',
    т: 't',
    у: 'u',
    ф: 'f',
    х: 'kh',
    ц: 'ts',
    ч: 'ch',
    ш: 'sh',
    щ: 'shch',
    ъ: '',
    ы: 'y',
    ь: '',
    э: 'e',
    ю: 'yu',
    я: 'ya',
    α: 'a',
    β: 'v',
    γ: 'g',
    δ: 'd',
    ε: 'e',
    ζ: 'z',
    η: 'i',
    θ: 'th',
    ι: 'i',
    κ: 'k',
    λ: 'l',
    μ: 'm',
    ν: 'n',
    ξ: 'x',
    ο: 'o',
    π: 'p',
    ρ: 'r',
    σ: 's',
    ς: 's',
    τ: 't',
    υ: 'y',
    φ: 'f',
    χ: 'ch',
    ψ: 'ps',
    ω: 'o',
  }),
);

/** Hepburn romanization of hiragana, in the order of the syllabary. */
const KANA = new Map(
  `あa いi うu えe おo かka きki くku けke こko がga ぎgi ぐgu げge ごgo さsa しshi すsu せse そso ざza じji ずzu ぜze ぞzo
  たta ちchi つtsu てte とto だda ぢji づzu でde どdo なna にni ぬnu ねne のno はha ひhi ふfu へhe ほho ばba びbi ぶbu べbe ぼbo
  ぱpa ぴpi ぷpu ぺpe ぽpo まma みmi むmu めme もmo やya ゆyu よyo らra りri るru れre ろro わwa をo んn ゔvu ぁa ぃi ぅu ぇe ぉo`
    .split(/\s+/)
    .map((pair) => [pair[0], pair.slice(1)]),
);

/** Small letters that change the vowel of the one before: しゃ is sha, きゃ is kya. */
const SMALL = new Map([
  ['ゃ', 'a'],
  ['ゅ', 'u'],
  ['ょ', 'o'],
]);

/** @param {string} text */
function fromKana(text) {
  const hiragana = text.replaceAll(/[ァ-ヶ]/g, (one) => String.fromCharCode(one.charCodeAt(0) - 0x60));
  let out = '';
  let isDoubled = false;
  for (const one of hiragana) {
    const vowel = SMALL.get(one);
    const latin = KANA.get(one);
    if (vowel && out.endsWith('i')) {
      const stem = out.slice(0, -1);
      out = stem + (/(sh|ch|j)$/.test(stem) ? vowel : `y${vowel}`);
    } else if (one === 'っ') isDoubled = true;
    else if (one === 'ー') continue;
    else if (latin) {
      out += (isDoubled ? latin[0] : '') + latin;
      isDoubled = false;
    } else out += one;
  }
  return out;
}

/**
 * A name for a title; empty if nothing of it can be written with Latin letters.
 *
 * @param {string} title
 */
export function suggestedName(title) {
  const german = title.replaceAll(/[äöü]/gi, (one) => `${{ ä: 'a', ö: 'o', ü: 'u' }[one.toLowerCase()]}e`);
  const latin = [...fromKana(german.normalize('NFC').toLowerCase())].map((one) => LETTERS.get(one) ?? one).join('');
  const plain = latin.normalize('NFD').replaceAll(/[\u0300-\u036f]/g, '');
  return plain
    .split('/')
    .map((part) => part.replaceAll(/[^a-z0-9_.-]+/g, '-').replaceAll(/^[-.]+|[-.]+$/g, ''))
    .filter((part) => part)
    .join('/');
}

/**
 * A name for a title that is not in use: `camera-2` if the title gives none.
 *
 * @param {string} title
 * @param {readonly string[]} used
 */
export function freeName(title, used) {
  const suggested = suggestedName(title);
  // Of 車庫 2 only the number is left.
  const stem = /[a-z]/.test(suggested) ? suggested : ['camera', suggested].filter(Boolean).join('-');
  if (suggested && !used.includes(stem)) return stem;
  for (let n = suggested ? 2 : 1; ; n++) if (!used.includes(`${stem}-${n}`)) return `${stem}-${n}`;
}
