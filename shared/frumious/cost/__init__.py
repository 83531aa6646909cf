"""What a stack in AWS costs, by list prices."""
