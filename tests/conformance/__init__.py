"""The same questions to the stand-in and, by choice, to Stripe's test mode: who answers differently?"""
