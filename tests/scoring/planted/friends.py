"""What only looks like a secret, and what stands beside one."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.scoring.planted.call import Call
from tests.scoring.planted.numbers import UNITS, card, say

PLAIN = """I'll be two or three days|two or three days
One moment please, let me check that for you.|One moment
That's great, for you too.|for you too
We're available 24/7, any day of the week.|24/7
we're open from nine to five on weekdays|nine to five
Opening hours are 8:30 to 17:00, Saturdays 10 to 2.|8:30|17:00|10 to 2
My son is 14 and my daughter is nine.|14|nine
She's twenty-three years old.|twenty-three
I'm running version 10.15 on my laptop|10.15
It's Windows 11, version 23H2.|Windows 11
I've waited forty five minutes already!|forty five minutes
I called three times last week, on the 12th and the 14th.|three times|12th|14th
That was back in 2019.|2019
in nineteen ninety eight we moved here|nineteen ninety eight
I bought it in twenty twenty three|twenty twenty three
My order number is 45012.|45012
The ticket is 88213, I opened it Monday.|88213
reference number 771204|771204
Order four five oh one two never arrived.|four five oh one two
your case number is 30417, please keep it|30417
Flight BA 2490 was delayed by two hours.|2490|two hours
I was on flight 1473 to Chicago|1473
We're in room 412 on the fourth floor.|412|fourth
I live at 1600 Pennsylvania Avenue|1600
Flat 3, 22 Orchard Street|22 Orchard Street
house number forty two, the blue door|forty two
it's apartment 12B, second floor|12B
I paid $1,299.99 for the laptop|$1,299.99
It was one hundred and fifty dollars.|one hundred and fifty dollars
They charged me $35 twice, so $70 in total.|$35|$70
The bill went from 40 to 85 dollars|40 to 85 dollars
two thousand five hundred euros is a lot of money|two thousand five hundred euros
I get paid around 3,200 a month|3,200
Twenty percent off, or 15% with the code.|Twenty percent|15%
it's about 99.9 percent done|99.9 percent
My appointment is on March 3rd at 10:30.|March 3rd|10:30
the meeting is at quarter past four on the twenty second|four|twenty second
Between 8 a.m. and 10 a.m., or 3 p.m. and 5 p.m.|8 a.m.|3 p.m.
on 03/04/2025 they took the money|03/04/2025
From 2024-01-05 to 2024-02-05.|2024-01-05|2024-02-05
I have two cards, one visa and one debit.|two cards|one visa
I need 3 of those and 12 of the small ones.|3 of|12 of
We have four bedrooms and two bathrooms|four bedrooms|two bathrooms
it's a 2018 Honda with 60,000 miles|2018|60,000 miles
My internet is 100 megabits but I get 12.|100 megabits
One of the two is broken, I think.|One of the two
No one told me, not once.|No one
I've been a customer for ten years.|ten years
It happens two to three times a day|two to three times
Oh, I see. Oh no.|Oh no
Won't you wait for a second? I ate already.|ate already
We'll ship it in 5 to 7 business days.|5 to 7 business days
Press one for sales, two for support.|Press one|two for support
I was number six in the queue|number six
there were a hundred people ahead of me|a hundred people
A thousand thanks!|A thousand thanks
it's 50 50 really|50 50
The package weighs 2.5 kilos and is 30 by 40 centimetres|2.5 kilos|30 by 40
channel 4 news at ten|channel 4
The error says 404 when I click.|404
I get error code 0x80070005 when I update|error code
error 1603 again|1603
gate 22, seat 14C|22|14C
It's 72 degrees outside and I'm on the 405 freeway.|72 degrees|405
chapter eleven, page two hundred and six|page two hundred and six
My mileage is 48,250.|48,250
Last year it was 1.5 million.|1.5 million
Half past seven or twenty to eight is fine.|Half past seven|twenty to eight
in the first week of October 2025|October 2025
it's been two years, three months and four days|two years|three months|four days
I spoke to three people: two in billing and one in sales.|three people|two in billing|one in sales
Is the one I have too old for the update?|the one I have too old
I'm down to one or two, maybe three.|one or two
the 4 train takes 25 minutes|25 minutes
she rang at 9, then 10, then 11|she rang
My plan is the 60 dollar one.|60 dollar
Your balance is 1250.75.|1250.75
I need it by the 30th at the latest|30th
I've got 512 gigs of storage and 16 gigs of memory|512 gigs|16 gigs
we're a family of five|family of five
The warranty is 24 months.|24 months
the contract ends in December 2027|December 2027
can I get 2 tickets for the 7:45 show|2 tickets|7:45
Visit us at company dot com.|Visit us
look at the website at home, it loads at noon|at noon
I'll meet him at the shop|at the shop
extension 4417 please|4417
invoice 20331 is wrong|20331
the model is an XR 500|500
my zip code is 94110|94110
bus 42 to terminal 3|42|terminal 3
six of one, half a dozen of the other|six of one
I'm five foot eleven and 180 pounds|five foot eleven|180 pounds
You've got to be kidding, for two weeks?|two weeks
it went from nine hundred to twelve hundred dollars|twelve hundred dollars
One, I was never told. Two, nobody called. Three, it still doesn't work.|One, I was|Two, nobody|Three, it
The speed test gave me 93, 88 and 91.|speed test
Three hundred and sixty five days a year|Three hundred and sixty five days
Well, that's one down, two to go.|one down, two to go
I've tried it 5 or 6 times since 8 this morning|5 or 6 times|8 this morning
My last bill was $84.20, the one before $79.95 and in May it was $101.|$84.20|$79.95|$101
We got there at 6:15, ate at 7:00 and left at 9:30.|6:15|7:00|9:30
it was cancelled in 2021, 2022 and again in 2023|2021|2022|2023
The dates are 3/4/2025, 3/11/2025 and 3/18/2025.|3/4/2025|3/11/2025|3/18/2025""".splitlines()

NEAR_CARD = """My credit card was charged twice for {money}.|{money}
I used my debit card on {date} for {money}|{date}|{money}
the card I got in {year} stopped working|{year}
Your card will arrive in {n} to {m} days.|{n} to {m} days
Thanks for the card details, it'll take {n} minutes.|{n} minutes
Is it one card or {n} cards?|{n} cards
we refunded {money} to your card on {date}|{money}|{date}
my phone broke {n} days ago|{n} days
I've had this phone for {n} years, bought it in {year}|{n} years|{year}
call me back in {n} minutes or at {time}|{n} minutes|{time}
you can reach me after {time} on weekdays|{time}
I lost my card on {date} around {time}|{date}|{time}
My account was closed in {year} and they kept {money}.|{year}|{money}
I have {n} accounts with you since {year}|{n} accounts|{year}
The security code never came, I waited {n} minutes|{n} minutes
your email will be answered within {n} hours|{n} hours
My passport took {n} weeks|{n} weeks
That's a {pct} charge on every card payment over {money}.|{pct}|{money}
The credit limit is {money}, at {pct} interest.|{money}|{pct}
Pay {money} now and {money2} in {n} weeks.|{money}|{money2}|{n} weeks""".splitlines()


def friends(r: random.Random) -> Iterator[Call]:
    for line in PLAIN:
        text, *keep = line.split("|")
        for speaker in ("customer", "agent"):
            shape = r.choice([str, str.lower, str.upper]) if speaker == "agent" else str
            yield Call("false friend", [(speaker, shape(text))], keep=[shape(k) for k in keep])
    for _ in range(9):
        for line in NEAR_CARD:
            n = r.randint(2, 9)
            facts = {
                "money": r.choice(
                    [
                        "$45",
                        "$1,250.00",
                        "150 dollars",
                        "€89.99",
                        "forty pounds",
                        "a hundred and twenty dollars",
                        "19.99",
                    ]
                ),
                "money2": r.choice(["$60", "eighty euros"]),
                "date": r.choice(["March 3rd", "the 14th", "03/04/2025", "May 21", "the third of June"]),
                "year": r.choice(["2019", "2023", "twenty twenty two", "1998"]),
                "time": r.choice(["6:30", "5 p.m.", "nine o'clock", "half past two"]),
                "pct": r.choice(["20%", "3.5 percent", "twenty percent"]),
                "n": r.choice([str(n), UNITS[n]]),
                "m": r.choice([str(n + 3), "10"]),
            }
            text, *keep = line.format(**facts).split("|")
            yield Call("false friend near a card", [("customer", text)], keep=keep)
    for _ in range(40):
        number = card(r)
        money, when = r.choice(["$45.99", "$1,200", "150 dollars"]), r.choice(["March 3rd", "10:30", "2019"])
        text = r.choice(
            [
                "You charged {m} at {w}, card number {c}",
                "I paid {m} back at {w} with {c}",
                "It was {w} and {m}. My card is {c}.",
            ]
        )
        yield Call(
            "beside a card",
            [
                (
                    "customer",
                    text.format(
                        m=money, w=when, c=say(r, number, r.choice(["fours", "figures", "words", "repeats"]))
                    ),
                )
            ],
            [number],
            "card",
            [money, when],
        )
    for _ in range(30):
        number = card(r)
        after = r.choice(
            [
                "Great, that's gone through, $45.99 in total.|$45.99",
                "It will take two or three days.|two or three days",
                "That's been taken care of, anything else? We're open till 8.|open till 8",
                "Your order number is 45012.|45012",
                "The delivery is on May 14th at 10:30.|May 14th|10:30",
            ]
        ).split("|")
        yield Call(
            "after a card",
            [
                ("agent", "Can I have your card number?"),
                ("customer", say(r, number, r.choice(["fours", "words"]))),
                ("agent", after[0]),
            ],
            [number],
            "card",
            after[1:],
        )
