/**
 * Words and phrases that tell how much is asked, whatever the topic. A phrase has at most three words; a word also
 * stands for its forms in -s, -es, -ed, -d and -ing. Names and their order are part of the router file's format.
 */
const lists = {
  /** Heads of requests: see request-heads.ts. */
  "verb lookup": "define name list spell tell give identify state recall find look show say pick guess check",
  "verb transform":
    "convert translate rephrase reword rewrite paraphrase fix correct capitalize capitalise sort alphabetize alphabetise order extract classify label count format reverse remove replace trim round lowercase uppercase abbreviate change punctuate proofread categorize categorise detect complete fill unscramble parse shorten pluralize conjugate transcribe strip rank tag underline copy quote repeat print reformat retype anonymize anonymise hyphenate decode encode swap transpose unpack translate_this",
  "verb device":
    "turn switch set dim lock unlock play pause stop open close start remind call mute unmute skip raise lower cancel snooze text navigate send shuffle resume put wake arm disarm brighten warm cool vacuum record shut activate deactivate launch ring",
  "verb arithmetic": "add subtract multiply divide calculate compute sum total half double",
  "verb create":
    "write draft compose create generate make build implement code program produce craft prepare refactor script sketch port modify extend set_up configure design_a_logo simulate invent turn_this",
  "verb explain":
    "explain describe compare contrast summarize summarise outline discuss walk teach recommend suggest brainstorm plan organize organise schedule help solve work interpret condense",
  "verb hard":
    "design architect prove derive debug diagnose investigate evaluate assess analyze analyse critique propose devise develop formulate redesign migrate optimize optimise model synthesize synthesise reconcile argue justify disprove refute audit restructure quantify determine construct characterize characterise establish restructure forecast negotiate rethink decompose stress_test root_cause reverse_engineer hypothesize adjudicate untangle demonstrate lay",
  /** Words anywhere. */
  "code artifact":
    "function script query class test tests regex component endpoint program dockerfile makefile method decorator cli hook snippet parser scraper playbook workflow trigger iterator middleware subroutine macro formula webpage bot app",
  "text artifact":
    "email letter post essay blog speech poem story haiku summary tweet itinerary menu recipe workout agenda lesson outline invitation toast bio announcement caption bullet_points newsletter article script resume cv report memo checklist quiz timetable plan press_release dialogue monologue review description",
  "system noun":
    "architecture system strategy framework policy roadmap protocol governance migration rollout infrastructure platform pipeline curriculum methodology mechanism threat_model topology taxonomy doctrine programme cluster fleet scheme operating_model data_model control_plane schema_evolution target_state portfolio ecosystem",
  institution:
    "federation council ministry national agency government parliament hospital university university's district co_operative cooperative insurer bank retailer chain airline manufacturer maker association publisher museum city county state authority navy army church ngo charity nonprofit startup industry sector company firm factory utility port airport municipality commission consortium society institute foundation lab nation country region eu un shareholders investors voters residents patients workers members citizens public administration department faculty",
  "change term":
    "reform respond replace survive revive regulate retrofit turn_around enter sequence end restructure transition phase_out consolidate modernize modernise decarbonize decarbonise scale_up roll_out wind_down merge divest privatize nationalize rebuild reinvent transform overhaul harmonize replatform re_platform decommission unify integrate",
  "plan noun":
    "incentives counter_evidence aims milestones opponents operating_model first_100_days long_range long_run irreversible tipping_points scenarios kill_criteria fallback escalation stress_test objections assumptions failure_modes rival_hypotheses business_case white_paper charter treaty constitution legal_opinion expert_opinion monograph specification safety_case safety_concept decision_model quantitative_model computational_model theory",
  "abstract question":
    "defensible falsify falsifiable compatible possible universal claim truth realism theory concept moral ethics ethical philosophy philosophical meaning_of justify consciousness free_will knowledge nature_of is_there does_x reconcile coherent paradox foundation epistemic ontological normative aesthetics causality identity",
  "scale noun":
    "multi_tenant multi_region cross_region nationwide enterprise organization organisation company_wide jurisdiction stakeholder regulator board union acquisition merger countries hospitals teams engineers plants suppliers franchise branches sites stores warehouses tenants customers employees users per_second per_day million billion petabyte terabyte years year_plan decade quarters long_term five_year",
  "distributed term":
    "consistency consensus failover partition replication replica sharded sharding idempotent idempotency exactly_once at_least_once linearizable lock_free wait_free race_condition race deadlock livelock leak contention latency p99 p95 throughput backpressure quorum scalability concurrency concurrent distributed fault_tolerant isolation bottleneck garbage_collection starvation zero_downtime split_brain eventual crdt memory_model ordering clock_skew invalidation",
  symptom:
    "intermittent intermittently sporadic sporadically randomly occasionally under_load only_on only_when only_under only_after only_in regression nondeterministic flaky segfault crash hang stuck oom spike drift diverge nan disappear vanish cannot_reproduce reproduce heisenbug corrupt corrupted corruption stale lost slow degrade fail drops stall stalls blows_up climbs doubled tripled went_from no_errors rolled_back after_upgrading after_deploy every_few suddenly falls_apart fall_apart stutter resets reboot refuse ignore comes_back still_does still_happens keeps_happening nothing_in passes_every cannot_explain can't_explain half_the at_random once_a_day about_once never_under only_for only_for_some unreachable unresponsive misbehave wrong_answer off_by mismatch inconsistent unexplained puzzling what_could what_is_happening what_is_going what_happens",
  "proof term":
    "prove proof theorem lemma conjecture corollary show_that for_every for_all if_and_only iff there_exist exists bounded converge convergence infinitely_many necessary_and sufficient counterexample np_hard np_complete invariant upper_bound lower_bound tight_bound irrational continuous compact isomorphic eigenvalue polynomial induction contradiction asymptotic rigorous closed_form cardinality uniqueness formally",
  "decision term":
    "should_we should_i trade_off tradeoff pros_and_cons versus vs whether or_should decide choose which_approach alternatives worth weigh implication consequence risk justify stay_or keep_or build_or buy_or incentive conflicting conflict tension dilemma disagree objection assumption second_order failure_mode mitigation uncertainty defensible",
  "constraint term":
    "must without at_least at_most no_more no_less within given_that given while subject_to constraint requirement budget cannot can't limited except unless however but avoid including ensure keep minimize minimise maximize exactly only_have have_to needs_to not_allowed may_not despite even_though even_if yet already handle handling support",
  "law and money":
    "compliance gdpr hipaa regulatory legal liability contract clause statute tax audit antitrust fiduciary clinical trial dosing comorbidities contraindicated differential diagnosis valuation hedge covenant equity debt solvency pension insurance reinsurance treaty tariff sanctions lawsuit litigation indemnity hippa sox fda",
  "deep research":
    "research study hypothesis hypotheses literature causal confound experiment methodology evidence synthesis meta_analysis longitudinal statistical_power identification instrument bias endogeneity evaluation estimate novel publishable open_problem grant dissertation paper papers",
  "small talk":
    "hi hello hey thanks thank good_morning good_night good_evening good_afternoon how_are bye goodbye lol haha joke what's_up sup yo cheers welcome congrats sorry love you're",
  brevity:
    "quick quickly just only simply one_word one_line one_liner one_sentence yes_or_no single short brief briefly basic simple tiny real_quick just_the in_one in_a_word real_fast answer_only nothing_else remind_me",
  depth:
    "in_depth in_detail detailed comprehensive rigorous rigorously thorough thoroughly step_by_step end_to_end complete formally systematically exhaustive from_scratch carefully justify reasoning rationale walk_me explain_why examples with_examples annotated production_ready production robust edge_case edge_cases beginner beginners",
  "fact question":
    "who when where which_year how_many how_much how_old how_far how_tall how_long what_year what_time what_day what_color what_colour capital_of synonym antonym opposite plural past_tense abbreviation stand_for stands_for meaning mean definition symbol boiling population invented founded discovered born died what_is_the what_does what's_the what_are the_name called is_it another_word",
  "format target":
    "as_json to_json as_csv to_csv as_yaml to_yaml to_xml in_french in_spanish in_german in_italian in_english into_english into_french into_spanish to_french to_spanish to_german in_binary to_binary in_hex in_kilometers in_miles in_celsius in_fahrenheit to_celsius to_fahrenheit uppercase lowercase title_case alphabetical alphabetically snake_case camelcase iso_8601 roman_numerals past_tense passive_voice",
  "sequence word":
    "first then also finally next after_that and_then as_well second third including include both each followed_by plus lastly per for_each along_with explain_how and_explain and_why",
  "device noun":
    "lights light lamp thermostat alarm timer volume door garage tv music song playlist blinds heating heater fan ac oven kettle coffee reminder vacuum bedroom kitchen bathroom hallway porch brightness degrees bluetooth wifi camera screen",
  reference:
    "this_sentence this_word this_phrase these_words this_list this_text this_paragraph this_passage this_email this_message this_code this_snippet this_function this_log this_error the_following below above here is_this",
} as const;

/** Names of the cue classes, in the order of the router file. */
export const cueNames: readonly string[] = Object.keys(lists);

/** Classes of a word or phrase (words joined by `_`). */
const classesOf: ReadonlyMap<string, readonly number[]> = (() => {
  const map = new Map<string, number[]>();
  for (const [index, words] of Object.values(lists).entries()) {
    for (const word of new Set(words.split(" "))) {
      const classes = map.get(word);
      if (classes === undefined) map.set(word, [index]);
      else classes.push(index);
    }
  }
  return map;
})();

const none: readonly number[] = [];

/** First words of phrases. */
const phraseStarts: ReadonlySet<string> = new Set(
  [...classesOf.keys()].filter((key) => key.includes("_")).map((key) => key.slice(0, key.indexOf("_"))),
);

/** Endings that are tried off a word, and what takes their place. */
const endings: readonly (readonly [string, string])[] = [
  ["ies", "y"],
  ["es", ""],
  ["es", "e"],
  ["s", ""],
  ["ed", ""],
  ["ed", "e"],
  ["ing", ""],
  ["ing", "e"],
];

/** Classes of a single word, in lower case, or of one of its forms. */
export function cuesOfWord(word: string): readonly number[] {
  const own = classesOf.get(word);
  if (own !== undefined) return own;
  if (word.length < 4 || !/(?:s|ed|ing)$/.test(word)) return none;
  for (const [ending, instead] of endings) {
    if (!word.endsWith(ending)) continue;
    const found = classesOf.get(word.slice(0, word.length - ending.length) + instead);
    if (found !== undefined) return found;
  }
  return none;
}

function cuesOfPhrase(phrase: string): readonly number[] {
  return (
    classesOf.get(phrase) ?? (phrase.endsWith("s") ? (classesOf.get(phrase.slice(0, -1)) ?? none) : none)
  );
}

/** Classes of the phrases of two and three words that begin at `at`; the last word may end in -s. */
export function cuesOfPhrasesAt(words: readonly string[], at: number): readonly number[] {
  const first = words[at] ?? "";
  const second = words[at + 1];
  if (second === undefined || !phraseStarts.has(first)) return none;
  const pair = `${first}_${second}`;
  const third = words[at + 2];
  const ofPair = cuesOfPhrase(pair);
  return third === undefined ? ofPair : [...ofPair, ...cuesOfPhrase(`${pair}_${third}`)];
}

/** Classes of all words and phrases of a sentence, each as often as it occurs. */
export function cuesOf(words: readonly string[]): readonly number[] {
  const cues: number[] = [];
  for (let i = 0; i < words.length; i += 1) {
    for (const cue of cuesOfWord(words[i] ?? "")) cues.push(cue);
    for (const cue of cuesOfPhrasesAt(words, i)) cues.push(cue);
  }
  return cues;
}
