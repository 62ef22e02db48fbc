/**
 * Pasted text that families of all tiers share as fillers, so that neither its words nor its length tell the tier.
 * All of it is made up for this set.
 */

/** Passages of a few sentences, with a date, a place, people and figures in each. */
export const passages: readonly string[] = [
  "The harbour council met on 14 March 2023 to decide whether the old grain terminal should be pulled down. Engineers from Tollmann & Reyes reported that the eastern silos had settled by eleven centimetres since 1998, and that underpinning them would cost about 4.2 million euros. The fishing cooperative asked for a delay until the autumn season was over. After three hours, the chair, Ingrid Solberg, proposed to fence off the eastern half and to keep the western half as a market hall. The motion passed by six votes to four.",
  "Seagrass meadows store carbon at a rate per hectare that rivals temperate forests, yet they rarely appear in national inventories. A survey of the Corran estuary, published in 2021, found that beds disturbed by anchoring lost a third of their sediment carbon within five years. Where mooring buoys had replaced anchors, the loss stopped and shoots returned at roughly eight centimetres a year. The authors, led by Dr. Amara Nwosu, caution that warm winters may undo those gains.",
  "When the Vellore textile mill switched its looms to single-drive motors in June 2019, managers expected a saving of 12 percent. The meters showed 7. An audit traced the gap to the humidifiers, which had been set to run through the night because the new control panel showed times in UTC. The panel was corrected on a Thursday, and by the end of the quarter the saving had reached 11 percent. Plant head R. Subramaniam now keeps a laminated note about time zones above the switch.",
  "Our flight from Lisbon was cancelled at 21:40 on 3 August and the desk gave out hotel vouchers for forty people although nearly ninety were waiting. We slept on the floor near gate 22. In the morning a woman named Teresa from the airline found seats through Madrid, and we reached Oslo eighteen hours late. The bags came two days after that; one of them had a broken wheel. I kept every receipt: 64 euros for food, 31 for taxis and 120 for the room we booked ourselves on the second night.",
  "The museum's oldest clock, built by Jonas Pfeiffer in Ulm around 1687, loses four minutes a week in winter and gains two in summer. For decades the keepers corrected it every Monday. In 2008 the conservator Hye-jin Park measured the pendulum and found that a nineteenth-century repair had replaced its iron rod with brass. She chose not to reverse the repair, since the brass rod had by then been part of the clock for longer than the iron one.",
  "Bus line 18 will run on a reduced timetable from 2 to 20 January while the bridge at Kestrel Road is repainted. Between 06:00 and 09:00 there will be a bus every 12 minutes instead of every 8. The stops Mill Lane and Foundry are not served; please use Canal Street, which is 350 metres away and has a lift. Passengers with a monthly ticket can claim back 9.50 at any counter until 31 January. Dogs and folded bicycles travel free as before.",
  "In the spring trial, the cooperative planted 300 apple trees on three rootstocks. By the third year the dwarfing stock had cropped earliest, at 4.1 kilograms a tree, but a fifth of its trees had leaned in the storm of 9 October. The middle stock gave 3.6 kilograms and lost none. The vigorous stock had hardly flowered. Members voted to replant the windy slope with the middle stock and to keep dwarf trees only along the wall, where Mr. Abernathy's bees are.",
  "Dear neighbours, as agreed at the meeting on 11 September, the boiler in building C will be replaced in the week of 6 October. There will be no hot water on Tuesday and Wednesday, and the stairwell light will be off for about an hour on Thursday morning. The fitter, Mrs. Okafor, needs access to all flats on the ground floor. If you cannot be at home, please leave a key with Daniel in 2B. The cost of 18,400 is covered by the reserve, so the monthly charge stays at 212.",
];

/** Logs with times, from services and devices. */
export const logs: readonly string[] = [
  "2024-05-02T03:12:07Z INFO  worker-3 picked job 88121\n2024-05-02T03:12:07Z INFO  worker-5 picked job 88121\n2024-05-02T03:12:09Z WARN  worker-3 lease renewed late (2011 ms)\n2024-05-02T03:12:09Z ERROR worker-5 duplicate key value violates unique constraint invoices_pkey\n2024-05-02T03:12:10Z INFO  worker-3 job 88121 done\n2024-05-02T03:12:40Z INFO  redis failover: new master 10.0.4.7",
  "[ 1123.402] usb 1-1.3: new high-speed USB device number 7 using xhci_hcd\n[ 1123.611] usb 1-1.3: device descriptor read/64, error -71\n[ 1124.020] usb 1-1.3: device not accepting address 8, error -71\n[ 1124.021] usb 1-1-port3: unable to enumerate USB device\n[ 1130.877] Under-voltage detected! (0x00050005)\n[ 1137.100] Voltage normalised (0x00000000)",
  "10:41:02.118 gateway  upstream=orders status=200 time=0.044\n10:41:02.940 gateway  upstream=orders status=200 time=0.831\n10:41:05.002 gateway  upstream=orders status=504 time=2.000\n10:41:05.004 gateway  retry 1 upstream=orders\n10:41:07.006 gateway  retry 2 upstream=orders\n10:41:07.310 orders   pool exhausted: 50 of 50 connections in use, 412 waiting\n10:41:09.008 gateway  circuit open for orders",
  "Jan 17 22:05:31 hub zigbee[612]: bulb_hall_2 joined, lqi 41\nJan 17 22:05:48 hub zigbee[612]: bulb_hall_2 missed ack 1\nJan 17 22:05:49 hub zigbee[612]: bulb_hall_2 missed ack 2\nJan 17 22:06:30 hub zigbee[612]: route repair via plug_kitchen\nJan 17 22:06:31 hub zigbee[612]: bulb_hall_2 lqi 118\nJan 17 22:09:12 hub automation[700]: scene evening triggered by sunset",
  "epoch 1 loss 2.301 acc 0.11 lr 1.0e-3\nepoch 2 loss 1.874 acc 0.31 lr 1.0e-3\nepoch 3 loss 1.502 acc 0.44 lr 1.0e-3\nepoch 4 loss nan acc 0.10 lr 1.0e-3\nWARNING: 37 gradients were not finite, loss scale halved to 32768\nepoch 5 loss nan acc 0.10 lr 1.0e-3\nearly stop at epoch 5, best 3",
  "08:00:01 press4 start order 5512 qty 1200\n08:14:37 press4 temp zone2 231.5 C\n08:15:02 press4 ALARM 214 ejector not home\n08:21:50 press4 reset by operator 17\n08:22:10 press4 cycle 31.8 s (target 28.0)\n09:05:44 press4 ALARM 214 ejector not home\n09:06:02 press4 reset by operator 17\n10:30:00 press4 good 214 scrap 39",
];

/** Short pieces of code in several languages. */
export const snippets: readonly string[] = [
  "```python\ndef merge(a, b):\n    out = []\n    while a and b:\n        out.append(a.pop(0) if a[0] <= b[0] else b.pop(0))\n    return out + a + b\n```",
  "```js\nconst seen = new Map();\nexport async function load(id) {\n  if (seen.has(id)) return seen.get(id);\n  const reply = await fetch('/api/items/' + id);\n  const body = await reply.json();\n  seen.set(id, body);\n  return body;\n}\n```",
  "```go\nfunc (c *Cache) Get(k string) (v []byte, ok bool) {\n\tc.mu.RLock()\n\te, ok := c.m[k]\n\tc.mu.RUnlock()\n\tif ok && time.Now().After(e.until) {\n\t\tdelete(c.m, k)\n\t\treturn nil, false\n\t}\n\treturn e.v, ok\n}\n```",
  "```sql\nSELECT c.region, SUM(o.total) AS revenue\nFROM orders o\nJOIN customers c ON c.id = o.customer_id\nJOIN refunds r ON r.order_id = o.id\nWHERE o.placed_at >= '2024-01-01'\nGROUP BY c.region\nORDER BY revenue DESC;\n```",
  "```c\nstatic volatile uint8_t head, tail;\nstatic char ring[64];\n\nvoid uart_isr(void) {\n  ring[head] = UDR0;\n  head = (head + 1) & 63;\n}\n\nint uart_read(void) {\n  if (head == tail) return -1;\n  char c = ring[tail];\n  tail = (tail + 1) & 63;\n  return c;\n}\n```",
  "```rust\nfn longest(words: Vec<String>) -> Option<String> {\n    let mut best: Option<String> = None;\n    for word in words {\n        if best.as_ref().map_or(true, |b| word.len() > b.len()) {\n            best = Some(word);\n        }\n    }\n    best\n}\n```",
  "```bash\nfor f in $(ls *.log); do\n  if [ $(wc -l < $f) -gt 1000 ]; then\n    gzip $f && echo compressed $f\n  fi\ndone\n```",
  '```java\npublic synchronized void transfer(Account to, long cents) {\n    synchronized (to) {\n        if (balance < cents) throw new IllegalStateException("short");\n        balance -= cents;\n        to.balance += cents;\n    }\n}\n```',
];

/** Messages that people forward. */
export const emails: readonly string[] = [
  "From: Priya Raman\nTo: facilities\nDate: Mon, 8 Apr 2024 09:14\nSubject: meeting room 4.02\n\nHi, the projector in 4.02 flickers again and the blinds on the left are stuck. We have the client visit on Thursday at 13:30, nine people. Could somebody look at it before then, or move us to 5.10? Thanks, Priya (ext. 4471)",
  "From: Marek\nTo: Ops\nDate: Fri, 19 Jan 2024 17:55\nSubject: pallet count Gdansk\n\nHello all, truck WX 4471 arrived with 31 pallets instead of 33. Driver says two were refused at loading because of wet cartons. Customer wants 660 boxes by Tuesday noon, we have 620. I can lend 40 from the Kowalski order, but that one ships on Wednesday. Please decide. Marek",
  "From: Helen Achebe\nTo: Board\nDate: 30 Nov 2023\nSubject: draft budget\n\nDear all, attached is the draft. Income is down 8 percent after the grant from the Larkin fund ended, and I propose to freeze hiring until June rather than to cut the youth programme. The roof cannot wait another winter; the cheapest of three offers is 47,500. I would be grateful for comments by 7 December. Kind regards, Helen",
  "From: support@brightlamp.example\nTo: you\nDate: 2 Feb 2024\nSubject: Your ticket 70213\n\nHi Tom, thanks for writing in. The dimmer you bought (order 5590-A) does need a neutral wire, so it will not work with the switch box you describe. We can swap it for model D2 at no cost, or refund 38.90. Please send it back by 1 March. Best, Lucia",
  "From: Coach Wendell\nTo: parents U12\nDate: Tue, 4 June 2024\nSubject: Saturday\n\nHi everyone, kickoff has moved from 10:00 to 11:15 because the east pitch is being watered. Meet at the car park by the chestnut trees at 10:30. We are short of two drivers, and Mia and Kofi still owe me their medical forms. Bring both shirts, please, since the other side plays in yellow too. Wendell",
  "From: Sofia Lindqvist\nTo: Project Aurora\nDate: 12 Sept 2024\nSubject: Slipping again?\n\nTeam, the sensor boards came back with the wrong connector (JST instead of Molex), so bring-up slides by two weeks. Firmware can go on with the dev kits. Certification was booked for 21 October and the lab charges 3,000 for moving it. Sales has already promised November to Hartwell. Let us talk tomorrow at 9. Sofia",
];

/** Small tables as comma-separated values or Markdown. */
export const tables: readonly string[] = [
  "city,jan,feb,mar\nBergen,1.9,2.1,3.8\nPorto,9.6,10.4,12.1\nGraz,-0.8,1.6,6.2\nTallinn,-3.4,-3.9,-0.3",
  "| SKU | on hand | weekly sales | lead time (days) |\n| --- | --- | --- | --- |\n| A-100 | 420 | 95 | 21 |\n| A-220 | 60 | 41 | 14 |\n| B-015 | 1800 | 12 | 45 |\n| C-330 | 0 | 77 | 10 |",
  "order;customer;total;paid\n1001;Haas;129.90;yes\n1002;Ito;54.00;no\n1003;Haas;18.50;yes\n1004;Mbeki;240.00;no\n1005;Quinn;75.25;yes",
  "name\tteam\thours\trate\nLena\tweb\t32\t85\nOmar\tdata\t18\t95\nGus\tweb\t40\t70\nYuki\tops\t27\t90",
  '[{"device":"pump-1","hours":8123,"faults":2},{"device":"pump-2","hours":7990,"faults":11},{"device":"fan-7","hours":15200,"faults":0},{"device":"fan-9","hours":310,"faults":4}]',
  "| week | signups | churned | tickets |\n| --- | --- | --- | --- |\n| 31 | 212 | 18 | 90 |\n| 32 | 198 | 25 | 131 |\n| 33 | 240 | 61 | 214 |\n| 34 | 233 | 30 | 122 |",
];
